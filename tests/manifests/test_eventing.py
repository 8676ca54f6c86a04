import pytest

from functions._domain.cluster import GPU_NODE_LABEL
from functions._runtime import manifests
from functions._runtime.manifests.eventing import NAME
from functions.declaration import FUNCTIONS, INFORMATIVE, OUTSIDE_PRODUCERS, Consumed, Function, subscriptions
from tests.manifests.objects import GPU_FUNCTIONS, committed, of_kind

ATTRIBUTES = {"type", "assetkind", "framework", "claim", "accelerator"}


def _destinations() -> list[dict[str, str]]:
    found = [one["spec"]["subscriber"]["ref"] for one in of_kind("Trigger").values()]
    found += [one["spec"]["sink"]["ref"] for one in of_kind("PingSource").values()]
    return [*found, of_kind("Broker")["polyglot"]["spec"]["delivery"]["deadLetterSink"]["ref"]]


def test_everybody_events_go_to_is_a_rendered_service_of_the_same_namespace() -> None:
    for ref in _destinations():
        assert ref == {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": ref["name"]}
        assert ref["name"] in of_kind("Service")


def test_trigger_filters_are_exactly_the_declarations() -> None:
    rendered = {
        name: (one["spec"]["subscriber"]["ref"]["name"], one["spec"]["filter"])
        for name, one in of_kind("Trigger").items()
    }
    assert rendered == {one.name: (one.service, {"attributes": dict(one.filter)}) for one in subscriptions()}
    assert all(set(one["attributes"]) <= ATTRIBUTES for _, one in rendered.values())


def test_every_consumed_type_has_a_trigger_to_each_variant_that_consumes_it() -> None:
    there = {
        (one["spec"]["subscriber"]["ref"]["name"], one["spec"]["filter"]["attributes"]["type"])
        for one in of_kind("Trigger").values()
    }
    wanted = {
        (service, consumed.type)
        for one in FUNCTIONS
        for consumed in one.consumes
        for service, variant in one.builds
        if consumed.by_variants == (variant is not None)
    }
    assert there == wanted


def test_every_consumed_type_has_a_producer_and_every_produced_one_a_consumer() -> None:
    consumed = {one.name for function in FUNCTIONS for one in function.consumes}
    produced = {name for function in FUNCTIONS for name in function.produces} | set(OUTSIDE_PRODUCERS)
    assert consumed <= produced
    assert produced - consumed <= INFORMATIVE


def test_names_are_ones_that_kubernetes_takes() -> None:
    for one in committed():
        if one["metadata"]["name"].endswith(".service-account-token"):
            continue
        assert NAME.fullmatch(one["metadata"]["name"]), one["metadata"]["name"]


def test_the_broker_retries_and_answers_before_it_delivers() -> None:
    broker = of_kind("Broker")["polyglot"]
    delivery = broker["spec"]["delivery"]
    assert broker["metadata"]["annotations"] == {"messaging.knative.dev/async-handler": "true"}
    assert (delivery["retry"], delivery["backoffPolicy"], delivery["backoffDelay"]) == (10, "exponential", "PT0.2S")


def test_an_attempt_may_take_longer_than_any_function() -> None:
    timeout = of_kind("Broker")["polyglot"]["spec"]["delivery"]["timeout"]
    assert int(timeout.removeprefix("PT").removesuffix("S")) > max(function.timeout for function in FUNCTIONS)


def test_all_triggers_belong_to_the_broker_and_none_changes_its_delivery() -> None:
    assert all(one["spec"]["broker"] == "polyglot" for one in of_kind("Trigger").values())
    assert all("delivery" not in one["spec"] for one in of_kind("Trigger").values())


def test_dead_letters_and_the_timer_have_no_trigger() -> None:
    sinks = {function.name for function in FUNCTIONS if function.sink}
    assert sinks == {"bury", "reconcile"}
    assert not sinks & {one["spec"]["subscriber"]["ref"]["name"] for one in of_kind("Trigger").values()}


def test_the_timer_calls_reconcile() -> None:
    timer = of_kind("PingSource")["reconcile"]
    assert timer["spec"]["sink"]["ref"]["name"] == "reconcile"
    assert len(timer["spec"]["schedule"].split()) == 5
    assert all(bool(function.schedule) == (function.sink == "timer") for function in FUNCTIONS)


def test_a_gpu_variants_events_say_so() -> None:
    triggers = {one["metadata"]["name"]: one for one in manifests.objects(GPU_FUNCTIONS) if one["kind"] == "Trigger"}
    attributes = triggers["translate-torch-gpu-translation-requested"]["spec"]["filter"]["attributes"]
    assert attributes[GPU_NODE_LABEL] == "nvidia"


@pytest.mark.parametrize("name", ["a" * 60, "Translate", "_", "über"])
def test_a_name_that_kubernetes_would_refuse_is_refused_here(name: str) -> None:
    function = Function(name, "", consumes=(Consumed("asset.submitted"),))
    with pytest.raises(ValueError, match="no name for a Trigger"):
        manifests.objects([function])


def test_two_triggers_of_one_name_are_refused() -> None:
    function = Function("verify", "", consumes=(Consumed("a.b"), Consumed("a", {"claim": "b"})))
    with pytest.raises(ValueError, match="two Triggers would be named 'verify-a-b'"):
        manifests.objects([function])
