"""The objects of a deployment: whether each that the declaration renders is there and says that it is ready."""

from collections.abc import Iterator, Sequence

from functions._cli.doctor.checks import Check, fine, judged, listed, unknown, wrong
from functions._cli.doctor.view import View
from functions._domain import cluster as names
from functions._runtime import manifests
from functions._runtime.deployer.reasons import why
from functions._runtime.deployer.waiting import state
from functions._runtime.manifests.files import Manifest
from functions.declaration import FUNCTIONS, Function

KINDS = ("Service", "Trigger", "PingSource")
ASYNC = "messaging.knative.dev/async-handler"
IN_MEMORY = "MTChannelBasedBroker"


def looks(view: View, functions: Sequence[Function] = FUNCTIONS) -> Iterator[Check]:
    """Look at all of them; those of a kind that are ready are one check together."""
    left_out = [service for service in _for_gpus(functions) if _is_left_out(view, service, functions)]
    wanted = [one for name, group in manifests.documents(functions).items() if name not in left_out for one in group]
    if left_out:
        yield unknown("GPU variants", f"not deployed: {listed(left_out)}", "what asks for a GPU waits for them")
    for kind in KINDS:
        yield from _kind(view, kind, [one for one in wanted if one["kind"] == kind])
    yield from broker(view)


def _for_gpus(functions: Sequence[Function]) -> list[str]:
    return [service for function in functions for service, variant in function.builds if variant and variant.gpu]


def _is_left_out(view: View, service: str, functions: Sequence[Function]) -> bool:
    """Whether nothing of a Service is there: a cluster without GPUs need not have it."""
    group = manifests.documents(functions)[service]
    return not any(view.get(one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in group)


def _kind(view: View, kind: str, wanted: Sequence[Manifest]) -> Iterator[Check]:
    there = {
        one["metadata"]["name"]: one for api in {one["apiVersion"] for one in wanted} for one in view.select(api, kind)
    }
    expected = [one["metadata"]["name"] for one in wanted]
    states = {name: state(there.get(name)) for name in expected}
    failing = {name: found.reason for name, found in states.items() if not found.ready}
    missing = [name for name in failing if name not in there]
    label = {"Service": "Services", "Trigger": "Triggers", "PingSource": "the timer"}[kind]
    if expected and not failing:
        yield fine(label, f"{len(expected)} ready")
    if missing:
        yield wrong(label, f"not there: {listed(missing)}", f"polyglot deploy --namespace {view.namespace}")
    for name in (name for name in failing if name in there):
        reasons = why(view, name) if kind == "Service" else [failing[name]]
        yield wrong(f"{kind} {name}", "; ".join(reasons), "mend what it says, then `polyglot deploy` waits for it")


def broker(view: View) -> Iterator[Check]:
    """The Broker: ready, with a dead-letter sink, and answering before it delivers."""
    found = view.get("eventing.knative.dev/v1", "Broker", names.BROKER)
    deploy = f"polyglot deploy --namespace {view.namespace}"
    if found is None:
        yield wrong("Broker", f"{names.BROKER} is not there", deploy)
        return
    said = state(found)
    remedy = "" if said.ready else "mend what it says: `kubectl describe broker polyglot`"
    yield judged("Broker", f"ready at {address(found)}" if said.ready else said.reason, remedy)
    if not (found.get("status") or {}).get("deadLetterSinkUri") and said.ready:
        yield wrong("dead-letter sink", "the Broker has none: what is given up leaves no mark", deploy)
    annotations = found["metadata"].get("annotations") or {}
    if (
        annotations.get("eventing.knative.dev/broker.class", IN_MEMORY) == IN_MEMORY
        and annotations.get(ASYNC) != "true"
    ):
        yield wrong("Broker's answers", "it answers when all is delivered, and a slow function holds up who announces",
                    f"delete it and make it anew with the annotation {ASYNC}: it counts at creation only")  # fmt: skip


def address(found: Manifest | None) -> str:
    """Where a Broker is, empty where it does not say."""
    return str((((found or {}).get("status") or {}).get("address") or {}).get("url") or "")
