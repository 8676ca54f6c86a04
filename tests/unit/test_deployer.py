"""What `polyglot deploy` does to a namespace: order, images, pruning, waiting, and what it says when it fails."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from functions.__main__ import main
from functions._cli.deploy import IMAGES, references, summary
from functions._domain.errors import RejectedRequest
from functions._runtime import deployer, manifests
from functions._runtime.deployer import Deployment, NotPrepared, Options, addresses
from functions._runtime.deployer.applying import OURS, PRUNED, apply, with_images
from functions._runtime.deployer.cluster import RejectedChange
from functions._runtime.deployer.reasons import why
from functions._runtime.deployer.waiting import State, state
from functions._runtime.manifests.building import write
from functions._runtime.manifests.images import containerfiles
from functions.declaration import FUNCTIONS
from tests.fake_cluster import FakeCluster, Manifest, not_ready, prepared, ready, secret

REFERENCES = {
    f"polyglot-{one}": f"registry.example.org/polyglot-{one}@sha256:{64 * '0'}" for one in containerfiles(FUNCTIONS)
}
QUICK = Options(timeout=5, pause=0.001, patience=0.02)
RECORDED = Path(__file__).with_name("recorded")
KINDS = ("Service", "Broker", "Trigger", "PingSource")


def willing(**controllers: Any) -> FakeCluster:
    """A prepared namespace whose controllers find everything well, but for those named."""
    named = {name.replace("__", "/").replace("_", "-"): one for name, one in controllers.items()}  # Kind__its_name
    return FakeCluster(controllers={**dict.fromkeys(KINDS, ready), **named}).add(prepared())


def deployed(cluster: FakeCluster, options: Options = QUICK) -> tuple[Deployment, list[str]]:
    said: list[str] = []
    return deployer.deploy(cluster, REFERENCES, options, said.append), said


def test_everything_that_is_rendered_is_applied_in_its_order_and_becomes_ready() -> None:
    cluster = willing()
    done, said = deployed(cluster)
    assert cluster.applied == [(one["kind"], one["metadata"]["name"]) for one in manifests.objects()]
    assert not done.failures
    assert {one.change for one in done.outcomes} == {"created"}
    assert {one.state for one in done.outcomes if one.kind in KINDS} == {"ready"}
    assert {one.state for one in done.outcomes if one.kind not in KINDS} == {"applied"}
    assert any(line.startswith("register … ready (") for line in said)


def test_who_is_named_by_others_is_applied_before_them() -> None:
    order = [(one["kind"], one["metadata"]["name"]) for one in manifests.objects()]
    for one in manifests.objects():
        me = order.index((one["kind"], one["metadata"]["name"]))
        if one["kind"] == "Trigger":
            assert order.index(("Service", one["spec"]["subscriber"]["ref"]["name"])) < me
            assert order.index(("Broker", one["spec"]["broker"])) < me
        if one["kind"] == "Service":
            assert order.index(("ServiceAccount", one["spec"]["template"]["spec"]["serviceAccountName"])) < me


def test_every_service_runs_the_image_that_was_named_for_it() -> None:
    before = manifests.objects()
    after = with_images(before, REFERENCES)
    images = [_image(one) for one in after if one["kind"] == "Service"]
    assert images == [REFERENCES[_image(one)] for one in before if one["kind"] == "Service"]
    assert before == manifests.objects()


def test_an_image_that_was_not_named_is_refused_with_the_way_to_make_it() -> None:
    some = {name: one for name, one in REFERENCES.items() if name not in ("polyglot-argo", "polyglot-torch")}
    cluster = willing()
    with pytest.raises(RejectedRequest, match=r"polyglot-argo, polyglot-torch: `make images`.*build/images\.json"):
        deployer.deploy(cluster, some, QUICK)
    assert not cluster.applied


def test_a_second_deployment_changes_nothing() -> None:
    cluster = willing()
    deployed(cluster)
    done, said = deployed(cluster)
    assert {one.change for one in done.outcomes} == {"unchanged"}
    assert not [line for line in said if "change" in line]


def test_another_image_changes_only_the_services_that_run_it() -> None:
    cluster = willing()
    deployed(cluster)
    images = {**REFERENCES, "polyglot-torch": "registry.example.org/polyglot-torch:0.2.0"}
    done = deployer.deploy(cluster, images, QUICK)
    assert _running("polyglot-torch") == {one.name for one in done.outcomes if one.change == "changed"}


def test_what_is_rendered_no_longer_goes_and_nothing_else() -> None:
    cluster = willing()
    cluster.apply(_object("Trigger", "verify-gone"))
    cluster.apply(_object("ServiceAccount", "gone", "v1"))
    cluster.apply(_object("ConfigMap", "applied-too", "v1"))
    by_hand, child = _object("Trigger", "by-hand"), _object("Service", "child")
    stranger = {**_object("Trigger", "of-kubectl")}
    stranger["metadata"]["managedFields"] = [{"manager": "kubectl", "operation": "Apply"}]
    child["metadata"].update(
        ownerReferences=[{"kind": "Else"}], managedFields=[{"manager": "polyglot", "operation": "Apply"}]
    )
    unlabelled = {**_object("Broker", "unlabelled"), "metadata": {"name": "unlabelled"}}
    cluster.add([by_hand, child, stranger, unlabelled])
    done, _ = deployed(cluster)
    assert cluster.deleted == [("Trigger", "verify-gone"), ("ServiceAccount", "gone")]
    assert [(one.name, one.state) for one in done.outcomes if one.change == "pruned"] == [
        ("verify-gone", "pruned"),
        ("gone", "pruned"),
    ]


def test_secrets_and_settings_are_never_pruned_and_every_other_rendered_kind_is() -> None:
    kinds = {(one["apiVersion"], one["kind"]) for one in manifests.objects()}
    assert kinds - set(PRUNED) == {("v1", "Secret")}


def test_a_dry_run_says_what_would_change_and_changes_nothing() -> None:
    cluster = willing()
    deployed(cluster)
    cluster.apply(_object("Trigger", "gone"))
    there = dict(cluster.objects)
    cluster.applied.clear()
    images = {**REFERENCES, "polyglot-plain": "registry.example.org/polyglot-plain:0.2.0"}
    done = deployer.deploy(cluster, images, Options(dry_run=True))
    changes = {(one.name, one.change) for one in done.outcomes if one.change != "unchanged"}
    assert changes == {("gone", "pruned"), *((name, "changed") for name in _running("polyglot-plain"))}
    assert (cluster.applied, cluster.deleted, cluster.objects) == ([], [], there)


def test_what_cannot_be_changed_is_made_anew() -> None:
    cluster = willing()
    cluster.immutable = {"Trigger": lambda one: one["spec"]["broker"]}
    wanted = manifests.objects()
    trigger = next(one for one in wanted if one["kind"] == "Trigger")
    cluster.apply({**trigger, "spec": {**trigger["spec"], "broker": "another"}})
    changes = {one.name: one.change for one in apply(cluster, wanted)}
    assert changes[trigger["metadata"]["name"]] == "replaced"
    assert cluster.deleted == [("Trigger", trigger["metadata"]["name"])]
    assert cluster.objects["Trigger", trigger["metadata"]["name"]]["spec"]["broker"] == "polyglot"


def test_a_refusal_about_a_new_object_is_not_answered_by_deleting_it() -> None:
    class Refusing(FakeCluster):
        def apply(self, manifest: Manifest, dry_run: bool = False) -> Manifest:
            raise RejectedChange("metadata.name is immutable")

    cluster = Refusing()
    with pytest.raises(RejectedChange):
        list(apply(cluster, manifests.objects()))
    assert not cluster.deleted


def test_readiness_is_that_of_the_generation_applied() -> None:
    def catching_up(found: Manifest, asked: int) -> Manifest:
        return {**ready(found), "observedGeneration": found["metadata"]["generation"] - (asked < 4)}

    cluster = willing(Service__register=catching_up)
    done, _ = deployed(cluster)
    assert not done.failures
    assert cluster.asked["Service", "register"] >= 4


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, State(None, "it is not there")),
        ({"metadata": {"generation": 1}}, State(None, "its controller has not looked at it yet")),
        ({"metadata": {}, "status": {"observedGeneration": 1}}, State(None, "it has no condition Ready yet")),
    ],
)
def test_what_does_not_say_so_is_not_ready(found: Manifest | None, expected: State) -> None:
    assert state(found) == expected


def test_one_that_says_no_for_a_while_ends_the_waiting_before_its_time() -> None:
    cluster = willing(Service__verify=not_ready("RevisionFailed", "no", "verify-00001"))
    done, _ = deployed(cluster, Options(timeout=60, pause=0.001, patience=0.05))
    assert [(one.name, one.state) for one in done.failures] == [("verify", "not ready")]
    assert done.failures[0].seconds < 10


def test_one_that_says_no_and_then_yes_is_ready() -> None:
    def late(found: Manifest, asked: int) -> Manifest:
        return ready(found) if asked > 5 else not_ready("Missing", "still")(found, asked)

    done, _ = deployed(willing(Trigger=late), Options(timeout=10, pause=0.001, patience=10))
    assert not done.failures


def test_one_that_never_says_anything_is_waited_for_until_the_time_is_up() -> None:
    done, _ = deployed(willing(PingSource=lambda found, asked: {}), Options(timeout=0.1, pause=0.01, patience=0.01))
    assert [(one.kind, one.reason) for one in done.failures] == [
        ("PingSource", "its controller has not looked at it yet")
    ]


def test_nothing_is_waited_for_when_that_is_not_asked() -> None:
    cluster = willing(Service=not_ready("No", "no"))
    done, _ = deployed(cluster, Options(wait=False))
    assert {one.state for one in done.outcomes} == {"applied"}


# --- what has to be there first


def test_an_unprepared_namespace_is_refused_with_everything_that_is_missing() -> None:
    cluster = FakeCluster().add(prepared()[:1])
    with pytest.raises(NotPrepared) as raised:
        deployer.deploy(cluster, REFERENCES, QUICK)
    text = str(raised.value)
    assert "ConfigMap polyglot is not there" in text
    assert "Secret polyglot-s3 with the bucket's credentials is not there" in text
    assert "Secret polyglot-s3-erase with the bucket's credentials is not there" in text
    assert "`polyglot key create trainer --secret acme` makes it" in text
    assert not cluster.applied


def test_a_missing_namespace_is_said_alone() -> None:
    with pytest.raises(NotPrepared, match="namespace acme is not there: --create-namespace makes it"):
        deployer.deploy(FakeCluster(), REFERENCES, QUICK)


def _unset(objects: Sequence[Manifest], kind: str, name: str, key: str, value: str | None) -> list[Manifest]:
    for one in objects:
        if (one["kind"], one["metadata"]["name"]) == (kind, name):
            one["data"].pop(key)
            if value is not None:
                one["data"][key] = value
    return list(objects)


@pytest.mark.parametrize(
    ("kind", "name", "key", "value"),
    [
        ("ConfigMap", "polyglot", "POLYGLOT_BUCKET", None),
        ("ConfigMap", "polyglot", "POLYGLOT_LEDGER", "0x" + 40 * "0"),
        ("Secret", "polyglot-s3", "AWS_SECRET_ACCESS_KEY", None),
        ("Secret", "polyglot-s3-erase", "AWS_ACCESS_KEY_ID", None),
        ("Secret", "polyglot-key-verifier", "verifier.statement.pem", None),
        ("Secret", "polyglot-key-verifier", "verifier.ledger.key", secret("", {"": "replace-me"})["data"][""]),
    ],
)
def test_a_setting_that_is_missing_or_still_the_examples_is_named(
    kind: str, name: str, key: str, value: str | None
) -> None:
    cluster = FakeCluster().add(_unset(prepared(), kind, name, key, value))
    with pytest.raises(NotPrepared, match=key):
        deployer.deploy(cluster, REFERENCES, QUICK)


def test_settings_that_have_a_default_may_be_missing() -> None:
    cluster = willing().add(_unset(prepared(), "ConfigMap", "polyglot", "POLYGLOT_S3_URL", None))
    assert not deployed(cluster)[0].failures


# --- where it then is


def test_the_address_of_all_functions_is_one_with_a_gap() -> None:
    assert deployed(willing())[0].url == "http://{function}.acme.edge.test"


def _services(template: str, *names: str) -> Iterator[Manifest]:
    for name in names:
        yield {"metadata": {"name": name}, "status": {"url": template.format(name)}}


def test_addresses_that_no_one_template_fits_are_not_guessed() -> None:
    functions = [one for one in FUNCTIONS if one.routes]
    names = [one.name for one in functions]
    assert addresses.template([*_services("https://{0}-acme.example", *names)], functions) == (
        "https://{function}-acme.example"
    )
    odd = [*_services("http://{0}.a.example", *names[1:]), *_services("http://{0}.b.example", names[0])]
    assert addresses.template(odd, functions) == ""
    assert addresses.template([], functions) == ""


def _running(image: str) -> set[str]:
    found = {
        one["metadata"]["name"] for one in manifests.objects() if one["kind"] == "Service" and _image(one) == image
    }
    assert found
    return found


def _image(service: Manifest) -> str:
    image: str = service["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


def _object(kind: str, name: str, api: str | None = None) -> Manifest:
    label, value = OURS.split("=")
    found = {one["kind"]: one["apiVersion"] for one in manifests.objects()}
    return {"apiVersion": api or found[kind], "kind": kind, "metadata": {"name": name, "labels": {label: value}}}


# --- the command


def test_the_summary_says_what_changed_and_what_to_export() -> None:
    done, _ = deployed(willing(Service__verify=not_ready("RevisionFailed", "no")))
    text = summary(done, "acme")
    services = sum(one["kind"] in KINDS for one in manifests.objects())
    assert text.startswith(f"acme: {len(manifests.objects())} created; {services - 1} ready after ")
    assert "; 1 not ready\n" in text
    assert "export POLYGLOT_URL='http://{function}.acme.edge.test'" in text


def test_images_are_read_from_the_file_that_make_images_writes(tmp_path: Path) -> None:
    path = tmp_path / "images.json"
    write(REFERENCES, path)
    assert references(path) == REFERENCES
    assert references(IMAGES) == {} or IMAGES.is_file()
    with pytest.raises(RejectedRequest, match="is not there: `make images` writes"):
        references(tmp_path / "nothing.json")
    for text in ('["polyglot-plain"]', "{", '{"polyglot-plain": 1}'):
        path.write_text(text)
        with pytest.raises(RejectedRequest, match="expected an object of image references"):
            references(path)


def test_no_cluster_to_talk_to_is_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["deploy", "--namespace", "acme"]) == 3
    assert "set KUBECONFIG" in capsys.readouterr().err


# --- why something is not ready, from what a cluster has answered (tests/unit/recorded)


def _recorded(case: str) -> FakeCluster:
    found = json.loads((RECORDED / f"{case}.json").read_text())
    pods = [one["metadata"]["name"] for one in found if one["kind"] == "Pod"]
    logs = {(pod, previous): "first\nno ledger here\n" for pod in pods for previous in (True, False)}
    return FakeCluster(logs=logs).add(found)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("image", r"ImagePullBackOff dev\.local/polyglot-ledger:nowhere: Back-off pulling image .*"),
        ("crash", r"user-container ended with 3 \(Error\): first \| no ledger here"),
        ("secret", r'FailedMount: MountVolume\.SetUp failed for volume "keys" : secret "not-there" not found'),
        ("settings", r'CreateContainerConfigError dev\.local/python:3\.11: configmap "not-there" not found'),
        ("room", r"Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.*"),
        ("quota", r'FailedCreate: pods "quota-.*" is forbidden: exceeded quota: full, requested: pods=1.*'),
    ],
)
def test_a_service_that_is_not_ready_is_explained_by_the_lowest_that_knows(case: str, expected: str) -> None:
    (line,) = why(_recorded(case), case)
    assert re.fullmatch(expected, line), line


@pytest.mark.parametrize(("case", "says"), [("crash", False), ("quota", False), ("room", None)])
def test_a_full_node_is_no_final_no(case: str, says: bool | None) -> None:
    assert state(_recorded(case).get("serving.knative.dev/v1", "Service", case)).ready is says


def test_a_pod_that_cannot_run_ends_the_waiting_long_before_knative_says_no() -> None:
    recorded = _recorded("image")
    waiting = recorded.objects["Service", "image"]
    assert state(waiting).ready is None
    cluster = willing(
        Service__verify=lambda found, asked: {
            **waiting["status"],
            "observedGeneration": found["metadata"]["generation"],
        },
        Trigger__verify_verification_requested_integrity=lambda found, asked: {},
    )
    cluster.objects |= {key: one for key, one in recorded.objects.items() if key[0] != "Service"}
    done, _ = deployed(cluster, Options(timeout=60, pause=0.001, patience=0.05))
    assert {one.name for one in done.failures} == {"verify", "verify-verification-requested-integrity"}
    assert max(one.seconds for one in done.failures) < 10


def test_without_pods_the_revision_says_why_and_without_a_revision_the_service() -> None:
    cluster = _recorded("crash")
    for kind in ("Pod", "ReplicaSet"):
        cluster.objects = {key: one for key, one in cluster.objects.items() if key[0] != kind}
    assert why(cluster, "crash")[0].startswith("ExitCode3: Container failed with: first")
    cluster.objects = {key: one for key, one in cluster.objects.items() if key[0] == "Service"}
    assert why(cluster, "crash")[0].startswith('RevisionFailed: Revision "crash-00001" failed with message')
    assert why(FakeCluster(), "crash") == []


def test_the_explanation_reaches_who_deploys() -> None:
    cluster = willing(Service__verify=not_ready("RevisionFailed", "no", "crash-00001"))
    cluster.logs = _recorded("crash").logs
    cluster.objects |= {key: one for key, one in _recorded("crash").objects.items() if key[0] != "Service"}
    done, _ = deployed(cluster)
    assert [(one.name, one.reason) for one in done.failures] == [
        ("verify", "user-container ended with 3 (Error): first | no ledger here")
    ]
