"""What the doctor finds, and what it says is to be done; where it may not look, it says so instead of guessing."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from functions._backends import keys
from functions._cli.doctor import cluster, deployment, given, ledger, rights, variants
from functions._cli.doctor.checks import Check, guarded, listed
from functions._domain import cluster as names
from functions._domain.errors import RejectedForbidden, Unavailable
from functions.declaration import FUNCTIONS
from tests.fake_cluster import not_ready, secret
from tests.fake_view import BROKER_URL, FakeView, controller, node, serving, well

ARGS = argparse.Namespace(url="", token="", json=False)


@pytest.fixture
def view() -> FakeView:
    return well()


def all_of(view: FakeView) -> dict[str, Check]:
    """What Kubernetes tells of a deployment."""
    return {one.name: one for one in cluster.inside(view, given.given(view))}


def wrong(checks: dict[str, Check]) -> dict[str, Check]:
    return {name: one for name, one in checks.items() if not one.ok}


def test_of_a_deployment_with_which_nothing_is_wrong_nothing_is_said_to_be(view: FakeView) -> None:
    nowhere = {"POLYGLOT_S3_URL": "http://127.0.0.1:9", "POLYGLOT_RPC_URL": "http://127.0.0.1:9"}
    found = {one.name: one for one in cluster.looks(ARGS, view, nowhere)}
    assert wrong(found) == {}
    assert {name for name, one in found.items() if not one.known} == {"storage", "ledger", "functions over HTTP"}
    assert "set POLYGLOT_S3_URL in this shell" in found["storage"].remedy
    assert found["Broker"].found == f"ready at {BROKER_URL}"
    assert found["rights"].found.endswith("may what they need, and no more")


def test_an_issuer_that_does_not_answer_from_here_may_answer_functions(view: FakeView) -> None:
    put("POLYGLOT_OIDC_ISSUER", "http://127.0.0.1:9")(view)
    put("POLYGLOT_OIDC_AUDIENCE", "polyglot-acme")(view)
    nowhere = {"POLYGLOT_S3_URL": "http://127.0.0.1:9", "POLYGLOT_RPC_URL": "http://127.0.0.1:9"}
    found = {one.name: one for one in cluster.looks(ARGS, view, nowhere)}["issuer"]
    assert (found.ok, found.known) == (True, False)
    assert found.found.startswith("from here: http://127.0.0.1:9/.well-known/openid-configuration does not answer")
    assert "POLYGLOT_OIDC_ISSUER" in found.remedy


def test_only_the_namespace_is_told_where_it_is_missing() -> None:
    (found,) = cluster.looks(ARGS, FakeView(), {})
    assert (found.name, found.ok) == ("namespace", False)


def drop(kind: str, name: str) -> Callable[[FakeView], object]:
    return lambda view: view.objects.pop((kind, name))


def say(kind: str, name: str, reason: str) -> Callable[[FakeView], object]:
    return lambda view: view.controllers.update({f"{kind}/{name}": not_ready(reason, "because")})


def put(name: str, value: str) -> Callable[[FakeView], object]:
    return lambda view: view.objects["ConfigMap", names.SETTINGS]["data"].update({name: value})


def lose(kind: str, name: str, *inside: str) -> Callable[[FakeView], object]:
    """Remove one key deep in an object."""

    def break_it(view: FakeView) -> None:
        found = view.objects[kind, name]
        for key in inside[:-1]:
            found = found[key]
        found.pop(inside[-1])

    return break_it


def have(**attributes: object) -> Callable[[FakeView], object]:
    return lambda view: [setattr(view, name, value) for name, value in attributes.items()]


def grant(*right: str) -> Callable[[FakeView], object]:
    return lambda view: view.rights.add(right)  # type: ignore[arg-type]


def withdraw(*right: str) -> Callable[[FakeView], object]:
    return lambda view: view.rights.remove(right)  # type: ignore[arg-type]


def flags(
    features: tuple[str, ...] = ("nodeselector", "tolerations"), zero: str = "true"
) -> Callable[[FakeView], object]:
    return lambda view: view.others.update({"knative-serving": serving(features, zero)})


FAULTS: dict[str, tuple[Callable[[FakeView], object], str, str, str]] = {
    "a Service is gone": (
        drop("Service", "deploy"),
        "Services",
        "not there: deploy",
        "polyglot deploy --namespace acme",
    ),
    "a Service is not ready": (
        say("Service", "collect", "RevisionFailed"),
        "Service collect",
        "RevisionFailed: because",
        "mend",
    ),
    "a Trigger is gone": (
        drop("Trigger", "train-contract-deployed-model"),
        "Triggers",
        "not there: train-",
        "polyglot deploy",
    ),
    "a Trigger is not ready": (
        say("Trigger", "deploy-asset-registered", "BrokerDoesNotExist"),
        "Trigger deploy-asset-registered",
        "BrokerDoesNotExist",
        "mend",
    ),
    "the timer is gone": (drop("PingSource", "reconcile"), "the timer", "not there: reconcile", "polyglot deploy"),
    "the Broker is gone": (drop("Broker", "polyglot"), "Broker", "polyglot is not there", "polyglot deploy"),
    "the Broker has no sink": (
        lose("Broker", "polyglot", "status", "deadLetterSinkUri"),
        "dead-letter sink",
        "leaves no mark",
        "polyglot deploy",
    ),
    "the Broker waits": (
        lose("Broker", "polyglot", "metadata", "annotations"),
        "Broker's answers",
        "holds up",
        "async-handler",
    ),
    "no settings": (
        drop("ConfigMap", "polyglot"),
        "settings",
        "ConfigMap polyglot is not there",
        "settings.example.yaml",
    ),
    "no credentials": (
        drop("Secret", "polyglot-s3"),
        "credentials",
        "Secret polyglot-s3 is not there",
        "settings.example.yaml",
    ),
    "no credentials for erase": (
        drop("Secret", "polyglot-s3-erase"),
        "credentials of erase",
        "Secret polyglot-s3-erase is not there",
        "settings.example.yaml",
    ),
    "a wrong setting": (
        put("POLYGLOT_LEDGER", "0x1"),
        "settings",
        "POLYGLOT_LEDGER is '0x1': expected",
        "docs/settings.md",
    ),
    "another Broker": (
        put("POLYGLOT_BROKER_URL", "http://broker-ingress/acme/default"),
        "broker address",
        BROKER_URL,
        "announce to somebody else",
    ),
    "no key": (
        drop("Secret", "polyglot-key-trainer"),
        "keys of trainer",
        "polyglot-key-trainer is not there",
        "polyglot key create trainer",
    ),
    "half a key": (
        lose("Secret", "polyglot-key-verifier", "data", "verifier.statement.pem"),
        "keys of verifier",
        "verifier.statement.pem is not there",
        "key create verifier",
    ),
    "no Argo": (have(known=frozenset()), "Argo Workflows", "does not know Workflows", "install Argo Workflows 3.7"),
    "no controller": (
        have(everywhere_=[node(accelerator="nvidia")]),
        "Argo Workflows",
        "its controller is not",
        "install the controller",
    ),
    "a controller that is down": (
        have(everywhere_=[controller(available=0)]),
        "Argo Workflows",
        "is not available",
        "no training would start",
    ),
    "a right is missing": (
        withdraw("train", "argoproj.io", "workflows", "create"),
        "rights",
        "missing: train create workflows",
        "polyglot deploy",
    ),
    "a right is too much": (grant("run", "", "secrets", "get"), "rights", "too many: run get secrets", "RoleBinding"),
    "the executor may more": (
        grant("run-executor", "argoproj.io", "workflows", "create"),
        "rights",
        "run-executor create workflows",
        "RoleBinding",
    ),
    "a flag is off": (
        flags(("nodeselector",)),
        "flags for GPU variants",
        "they are off",
        "kubernetes.podspec-tolerations: enabled",
    ),
    "no zero scale": (
        flags(zero="false"),
        "zero initial scale",
        "it is off",
        'allow-zero-initial-scale: "true"',
    ),
    "the clock is off": (have(seconds_ahead=-120.0), "clock of the cluster", "120 s behind", "NTP"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named_with_what_to_do_and_no_other(view: FakeView, fault: str) -> None:
    break_it, name, found, remedy = FAULTS[fault]
    break_it(view)
    checks = wrong(all_of(view))
    assert set(checks) == {name}
    assert found in checks[name].found
    assert remedy in checks[name].remedy


@pytest.mark.parametrize(
    ("forbidden", "unknown"),
    [
        ("polyglot-key-trainer", {"keys of trainer"}),
        ("polyglot-s3", {"credentials"}),
        ("polyglot-s3-erase", {"credentials of erase"}),
        ("polyglot", {"settings"}),
        ("LocalSubjectAccessReview", {"rights"}),
        ("Deployment", {"Argo Workflows"}),
        ("Node", {"variants"}),
        ("knative-serving", {"variants"}),
        ("Broker", {"deployment"}),
        ("Trigger", {"deployment"}),
    ],
)
def test_where_one_may_not_look_nothing_is_wrong_and_it_says_so(
    view: FakeView, forbidden: str, unknown: set[str]
) -> None:
    view.forbidden = {forbidden} if forbidden != "polyglot" else {"ConfigMap"}
    found = all_of(view)
    assert wrong(found) == {}
    assert all("not allowed to look" in found[name].found for name in unknown)


def test_who_may_not_see_the_namespace_itself_may_see_what_is_in_it(view: FakeView) -> None:
    view.forbidden = {"Namespace"}
    first = next(iter(cluster.looks(ARGS, view, {})))
    assert (first.name, first.ok) == ("settings", True)


def test_a_setting_with_a_typing_error_is_guessed(view: FakeView) -> None:
    put("POLYGLOT_S3_PUBLIC_ULR", "https://s3.example.org")(view)
    found = all_of(view)["unknown settings"]
    assert found.found == "POLYGLOT_S3_PUBLIC_ULR (is it POLYGLOT_S3_PUBLIC_URL?)"
    assert (found.ok, found.known) == (True, False)


def test_another_version_of_argo_is_no_fault_and_is_told(view: FakeView) -> None:
    view.everywhere_ = [controller("v4.1.2"), node(accelerator="nvidia")]
    found = all_of(view)["Argo Workflows"]
    assert (found.ok, found.known, "4.1.2" in found.found) == (True, False, True)


@pytest.mark.parametrize(
    ("nodes", "said"), [([], "no node has the label"), ([node(0, accelerator="nvidia")], "none has")]
)
def test_a_cluster_without_gpus_is_no_fault_and_is_told(
    view: FakeView, nodes: list[dict[str, object]], said: str
) -> None:
    view.everywhere_ = [controller(), *nodes]
    found = all_of(view)["GPU nodes"]
    assert (found.ok, found.known, said in found.found) == (True, False, True)


def test_a_deployment_without_variants_for_gpus_is_no_fault_and_is_told(view: FakeView) -> None:
    of_gpus = [key for key in view.objects if "-gpu" in key[1]]
    for key in of_gpus:
        del view.objects[key]
    found = all_of(view)
    assert wrong(found) == {}
    assert (found["GPU variants"].known, "translate-torch-gpu" in found["GPU variants"].found) == (False, True)


def test_half_a_variant_for_gpus_is_a_fault(view: FakeView) -> None:
    drop("Service", "translate-torch-gpu")(view)
    assert set(wrong(all_of(view))) == {"Services"}


def test_gpus_and_flags_are_looked_at_only_where_a_variant_needs_them(view: FakeView) -> None:
    flags((), "false")(view)
    cpu_only = [
        replace(function, variants=tuple(one for one in function.variants if not one.gpu)) for function in FUNCTIONS
    ]
    assert [one.name for one in variants.looks(view, cpu_only)] == ["zero initial scale"]
    assert list(variants.looks(view, [function for function in FUNCTIONS if not function.variants])) == []


def test_every_object_with_a_condition_is_looked_at(view: FakeView) -> None:
    counts = {one.name: one.found for one in deployment.looks(view)}
    services = [name for function in FUNCTIONS if function.scope == "tenant" for name in function.services]
    assert counts["Services"] == f"{len(services)} ready"
    assert set(counts) == {"Services", "Triggers", "the timer", "Broker"}


def test_a_rights_review_asks_for_each_account_of_ours(view: FakeView) -> None:
    """Also for what nobody may: with cluster-admin for all accounts, the run's account is found."""
    everything = {(account, *right) for account in ("run", "bury") for right in [("", "pods/exec", "create")]}
    view.rights |= everything
    (found,) = (one for one in rights.looks(view) if one.name == "rights")
    assert "run create pods/exec" in found.found
    assert "bury create pods/exec" in found.found


# Keys and roles


def test_the_public_halves_of_the_keys_are_those_that_sign(view: FakeView, tmp_path: Path) -> None:
    keys.create("trainer", tmp_path)
    contents = {name: (tmp_path / name).read_text() for name in names.key_files("trainer")}
    view.add([secret("polyglot-key-trainer", contents)])
    signer = keys.RoleKeys("trainer", tmp_path, 1, "0x", "0x")
    public = given.given(view).public
    assert public["trainer"] == ledger.Keys(signer.account, signer.signing_key_digest)
    assert public["verifier"] is None  # what is there is no key
    view.forbidden = {"polyglot-key-trainer"}
    assert given.given(view).public["trainer"] is None


# Checks


def refusing(error: Exception) -> Callable[[], Iterator[Check]]:
    def look() -> Iterator[Check]:
        yield Check("first", True, "seen")
        raise error

    return look


def test_what_was_seen_before_a_fault_is_told() -> None:
    found = list(guarded("ledger", refusing(Unavailable("away")), "start it"))
    assert [(one.name, one.ok) for one in found] == [("first", True), ("ledger", False)]
    assert found[1].remedy == "start it"
    (_, far) = guarded("ledger", refusing(Unavailable("away")), "from inside?", is_near=False)
    assert (far.ok, far.known) == (True, False)
    (_, hidden) = guarded("ledger", refusing(RejectedForbidden("403")), "x")
    assert (hidden.ok, hidden.known) == (True, False)


def test_a_line_shows_what_is_wrong_and_what_nobody_knows() -> None:
    marks = [str(Check("n", *flags))[0] for flags in [(True, "f"), (False, "f", "r"), (True, "f", "", False)]]
    assert marks == ["✓", "✗", "?"]
    assert listed("abcdefg", 2) == "a, b and 5 more"
