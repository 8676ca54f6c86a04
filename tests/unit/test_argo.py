"""The Argo engine over a cluster that is a fake: what it submits, and what it makes of what Argo and Kubernetes say."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from functions._backends.argo.engine import ArgoEngine
from functions._backends.argo.workflow import ASSET_NOTE, KEEP, RETRIES, STAGE, TRAIN, Place, workflow
from functions._domain import cluster
from functions._domain.digests import canonical
from functions._domain.errors import RejectedConflict
from functions._domain.ports import Channel, Run, RunState
from functions._domain.retraining import run_name as retraining_name
from tests.fakes import FolderStorage

pytest.importorskip("hera", reason="the extra `argo` is not installed")

ASSET, MODEL, DATASET = UUID(int=1), UUID(int=2), UUID(int=3)
IMAGE = f"registry.example.org/train@sha256:{'1' * 64}"
OURS = f"registry.example.org/polyglot-argo@sha256:{'2' * 64}"
NAME = f"train-{MODEL}-1"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
Document = Mapping[str, Any]


def a_run(**changes: Any) -> Run:
    channel = Channel("train", DATASET, f"sha256:{'3' * 64}")
    known: dict[str, Any] = {"command": ("train",), "hyperparameters": {"epochs": "2"}, "cpu": 2, "memory": 1 << 30}
    known |= {"channels": (channel,), "gpu": 0, "deadline": 60}
    return Run(name=NAME, asset=ASSET, model=MODEL, attempt=1, image=IMAGE, **{**known, **changes})


@dataclass
class OneCluster:
    """A cluster that remembers Workflows, and whose pods are put there by the test."""

    workflows: dict[str, dict[str, Any]] = field(default_factory=dict)
    its_pods: list[Document] = field(default_factory=list)
    printed: bytes = b""

    def create(self, workflow: Document) -> bool:
        name = workflow["metadata"]["name"]
        new = name not in self.workflows
        self.workflows.setdefault(name, {**workflow, "metadata": {**workflow["metadata"], "uid": "uid"}})
        return new

    def workflow(self, name: str) -> Document | None:
        return self.workflows.get(name)

    def patch(self, name: str, changes: Document) -> bool:
        if name in self.workflows:
            known = self.workflows[name]
            known["spec"] = {**known["spec"], **changes["spec"]}
            known["metadata"]["annotations"] |= changes.get("metadata", {}).get("annotations", {})
        return name in self.workflows

    def pods(self, workflow: str, run: str) -> Sequence[Document]:
        assert run == cluster.RUN_TRAINS
        return self.its_pods

    def log(self, pod: str, container: str, lines: int | None, limit: int) -> bytes:
        assert container == TRAIN
        return b"".join(self.printed.splitlines(keepends=True)[-(lines or 0) :])[:limit]

    def own_image(self) -> str:
        return OURS

    def say(self, phase: str, *tries: tuple[str, str], **status: Any) -> None:
        """What the controller writes: the training's phase, and each of its tries with phase and message."""
        root = {"id": NAME, "name": NAME, "type": "Retry", "phase": phase, "children": []}
        nodes: dict[str, Any] = {NAME: root}
        for number, (its_phase, message) in enumerate(tries):
            one = {"id": f"n{number}", "name": f"{NAME}({number})", "type": "Pod", "phase": its_phase}
            times = {"startedAt": "2026-01-01T11:00:00Z", "finishedAt": "2026-01-01T11:30:00Z"}
            nodes[f"n{number}"] = {**one, "message": message, **times}
            root["children"].append(f"n{number}")  # type: ignore[attr-defined]
        self.workflows[NAME]["status"] = {"phase": "Running", "nodes": nodes, **status}

    def has_pod(self, number: int = 0, age: float = 0, **containers: Document) -> None:
        created = (NOW - timedelta(seconds=age)).isoformat()
        statuses = [{"name": name, "state": state} for name, state in containers.items()]
        inits = [one for one in statuses if one["name"] == STAGE]
        mains = [one for one in statuses if one["name"] != STAGE]
        notes = {"workflows.argoproj.io/node-name": f"{NAME}({number})"}
        metadata = {"name": f"pod-{number}", "annotations": notes, "creationTimestamp": created}
        status = {"initContainerStatuses": inits, "containerStatuses": mains}
        self.its_pods.append({"metadata": metadata, "status": status})


def ended(code: int, message: str = "", reason: str = "") -> Document:
    times = {"startedAt": "2026-01-01T11:05:00Z", "finishedAt": "2026-01-01T11:20:00Z"}
    return {"terminated": {"exitCode": code, "message": message, "reason": reason or "Error", **times}}


@pytest.fixture
def there() -> OneCluster:
    return OneCluster()


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "bucket")


@pytest.fixture
def engine(there: OneCluster, storage: FolderStorage) -> ArgoEngine:
    return ArgoEngine(storage, there, now=lambda: NOW)


def submitted(engine: ArgoEngine) -> ArgoEngine:
    engine.submit(a_run())
    return engine


def containers(document: Document) -> dict[str, Document]:
    template = next(one for one in document["spec"]["templates"] if one["name"] == TRAIN)
    return {one["name"]: one for one in (*template["initContainers"], *template["containerSet"]["containers"])}


def test_submitting_twice_starts_one_run(engine: ArgoEngine, there: OneCluster) -> None:
    submitted(engine).submit(a_run())
    assert list(there.workflows) == [NAME]


def test_a_retraining_is_a_run_of_its_own_whose_results_are_its_requests(engine: ArgoEngine, there: OneCluster) -> None:
    request = UUID(int=9)
    run = replace(a_run(), name=retraining_name(request), asset=request)
    submitted(engine).submit(run)
    assert sorted(there.workflows) == sorted([NAME, run.name])
    metadata = there.workflows[run.name]["metadata"]
    assert metadata["annotations"][ASSET_NOTE] == str(request)
    assert metadata["labels"]["polyglot.io/model"] == str(MODEL)
    assert len(run.name) <= 63


def test_what_argo_would_replace_is_refused(engine: ArgoEngine, there: OneCluster) -> None:
    for odd in (a_run(command=("train", "{{workflow.uid}}")), a_run(hyperparameters={"x": "{{= 1 }}"})):
        with pytest.raises(RejectedConflict, match="another way"):
            engine.submit(odd)
    assert not there.workflows


def test_the_training_container_holds_no_credentials_and_may_write_its_results_only() -> None:
    document = workflow(a_run(), Place(OURS))
    training = containers(document)[TRAIN]
    assert training["image"] == IMAGE
    assert "envFrom" not in training
    assert not [one for one in training["env"] if "valueFrom" in one or "AWS" in one["name"]]
    assert training["securityContext"]["readOnlyRootFilesystem"] is True
    writable = {one["mountPath"] for one in training["volumeMounts"] if not one.get("readOnly")}
    assert writable == {"/opt/ml/model", "/opt/ml/output", "/tmp"}
    assert document["spec"]["automountServiceAccountToken"] is False
    named = {one["name"] for one in document["spec"]["volumes"]}
    assert {one["name"] for one in containers(document)[STAGE]["volumeMounts"]} == named  # or Argo leaves them out
    assert document["spec"]["executor"]["serviceAccountName"] == cluster.RUN_EXECUTOR


def test_our_container_with_credentials_is_started_before_the_training_could_touch_what_it_runs() -> None:
    template = next(one for one in workflow(a_run(), Place(OURS))["spec"]["templates"] if one["name"] == TRAIN)
    assert [one["name"] for one in template["containerSet"]["containers"]] == [KEEP, TRAIN]
    assert template["containerSet"]["containers"][0]["dependencies"] == [TRAIN]
    assert not any("artifacts" in template.get(side, {}) for side in ("inputs", "outputs"))


def test_argos_own_containers_are_locked_down_too() -> None:
    patch = json.loads(workflow(a_run(), Place(OURS))["spec"]["podSpecPatch"])
    locked = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert patch == {
        "initContainers": [{"name": "init", "securityContext": locked}],
        "containers": [{"name": "wait", "securityContext": locked}],
    }
    assert "{{" not in workflow(a_run(), Place(OURS))["spec"]["podSpecPatch"]  # Argo would replace it


def test_resources_deadline_and_arguments_are_those_of_the_registration() -> None:
    document = workflow(a_run(gpu=1, command=("python", "x.py")), Place(OURS))
    template = next(one for one in document["spec"]["templates"] if one["name"] == TRAIN)
    training = containers(document)[TRAIN]
    assert (training["command"], training["args"]) == (["python"], ["x.py", "--epochs", "2"])
    wanted = {"cpu": "2", "memory": str(1 << 30), "nvidia.com/gpu": "1"}
    assert training["resources"] == {"requests": {**wanted, "cpu": "500m"}, "limits": wanted}
    assert template["activeDeadlineSeconds"] == 60
    assert template["nodeSelector"] == {"accelerator": "nvidia"}
    assert template["retryStrategy"]["limit"] == RETRIES
    assert "ttlStrategy" not in document["spec"]


def test_every_container_of_ours_names_its_command_and_runs_our_image() -> None:
    document = workflow(a_run(), Place(OURS))
    announce = next(one for one in document["spec"]["templates"] if one["name"] == "announce")["container"]
    for one in (containers(document)[STAGE], containers(document)[KEEP], announce):
        assert one["image"] == OURS
        assert one["command"][:4] == ["python", "-I", "-m", "functions._backends.argo"]
    assert "envFrom" not in announce


def test_the_trace_of_a_submission_goes_on_in_the_announcement(there: OneCluster, storage: FolderStorage) -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    ArgoEngine(storage, there, trace=lambda: trace).submit(a_run())
    announce = next(one for one in there.workflows[NAME]["spec"]["templates"] if one["name"] == "announce")
    assert {"name": "TRACEPARENT", "value": trace} in announce["container"]["env"]


def test_a_run_that_nobody_submitted_is_unknown(engine: ArgoEngine) -> None:
    assert engine.state(NAME) == RunState("unknown")
    assert engine.log(NAME) == ""
    engine.cancel(NAME)
    engine.release(NAME)


def test_a_run_counts_as_ended_while_it_still_announces_its_end(
    engine: ArgoEngine, there: OneCluster, storage: FolderStorage
) -> None:
    submitted(engine)
    there.say("Succeeded", ("Error", "pod deleted"), ("Succeeded", ""))
    there.has_pod(1, train=ended(0))
    notes = {"environment": {"cpu": "x"}, "isolation": {"network": "restricted by policy"}}
    storage.create(f"runs/{ASSET}/uid-1/environment.json", canonical(notes))
    state = engine.state(NAME)
    assert (state.phase, state.execution, state.exit_code) == ("succeeded", "uid-1", 0)
    assert (state.started, state.finished) == ("2026-01-01T11:05:00Z", "2026-01-01T11:20:00Z")
    assert state.environment == {"cpu": "x", "image_digest": IMAGE}
    assert state.isolation == {"network": "restricted by policy"}


def test_a_success_whose_pods_are_gone_is_still_a_success(engine: ArgoEngine, there: OneCluster) -> None:
    submitted(engine)
    there.say("Succeeded", ("Succeeded", ""))
    state = engine.state(NAME)
    assert (state.phase, state.execution, state.finished) == ("succeeded", "uid-0", "2026-01-01T11:30:00Z")


FAILURES: dict[str, tuple[dict[str, Document], Mapping[str, str], tuple[str, ...]]] = {
    "exits 1": ({TRAIN: ended(1, "no luck today"), KEEP: ended(64, "dependency")}, {}, ("code 1", "no luck today")),
    "is killed": ({TRAIN: ended(137, "")}, {}, ("code 137", "signal 9", "printed nothing")),
    "runs out of memory": ({TRAIN: ended(137, "", "OOMKilled")}, {}, ("memory", "--memory")),
    "runs too long": (
        {TRAIN: ended(137)}, {"reason": "DeadlineExceeded", "message": "Pod was active"}, ("deadline", "--deadline"),
    ),
    "fills the disk": (
        {}, {"reason": "Evicted", "message": 'Usage of EmptyDir volume "model" exceeds the limit "10Gi".'},
        ("wrote more than it may", "model"),
    ),
    "was given other bytes": ({STAGE: ended(1, "file x.csv is not what was registered")}, {}, ("x.csv",)),
    "wrote no model": ({TRAIN: ended(0), KEEP: ended(1, "wrote no model: write")}, {}, ("wrote no model",)),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILURES)
def test_a_run_that_failed_says_why(engine: ArgoEngine, there: OneCluster, case: str) -> None:
    states, status, words = FAILURES[case]
    submitted(engine)
    there.say("Failed", ("Failed", "main: Error (exit code 1)"))
    there.has_pod(0, **states)
    there.its_pods[0]["status"].update(status)
    state = engine.state(NAME)
    assert (state.phase, state.execution) == ("failed", "uid-0")
    assert all(word in state.reason for word in words), state.reason


def test_a_run_without_pods_or_nodes_still_says_why(engine: ArgoEngine, there: OneCluster) -> None:
    submitted(engine)
    there.workflows[NAME]["status"] = {"phase": "Error", "message": "invalid spec: no such template"}
    state = engine.state(NAME)
    assert (state.phase, state.reason) == ("failed", "invalid spec: no such template")


def test_an_image_that_cannot_be_pulled_fails_the_run_after_a_while(engine: ArgoEngine, there: OneCluster) -> None:
    submitted(engine)
    there.say("Running", ("Pending", 'ImagePullBackOff: Back-off pulling image "no/such"'))
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "no/such"'}}
    there.has_pod(0, age=10, train=waiting)
    state = engine.state(NAME)
    assert (state.phase, "no/such" in state.reason) == ("running", True)
    there.its_pods.clear()
    there.has_pod(0, age=120, train=waiting)
    state = engine.state(NAME)
    assert (state.phase, "no/such" in state.reason, "register" in state.reason) == ("failed", True, True)
    engine.release(NAME, state.reason)
    assert there.workflows[NAME]["spec"]["shutdown"] == "Stop"
    assert there.workflows[NAME]["spec"]["ttlStrategy"]["secondsAfterCompletion"] > 0
    there.its_pods.clear()
    there.say("Failed", ("Failed", "workflow shutdown with strategy: Stop"))
    assert engine.state(NAME).reason == state.reason  # also where nobody came to write it down the first time


def test_a_run_that_no_node_has_room_for_waits_and_says_so(engine: ArgoEngine, there: OneCluster) -> None:
    submitted(engine)
    there.say("Running", ("Pending", ""))
    there.has_pod(0, age=7200)
    there.its_pods[0]["status"]["conditions"] = [{"reason": "Unschedulable", "message": "0/1 nodes: no gpu"}]
    state = engine.state(NAME)
    assert (state.phase, "no gpu" in state.reason) == ("running", True)


def test_a_run_at_work_waits_for_nothing_and_its_log_can_be_read(engine: ArgoEngine, there: OneCluster) -> None:
    submitted(engine)
    there.say("Running", ("Running", "some message of Argo's"))
    there.has_pod(0, train={"running": {}})
    there.printed = b"one\ntwo\nthree\n"
    assert engine.state(NAME).reason == ""
    assert engine.log(NAME, 2) == "two\nthree\n"


def test_a_cancelled_run_says_that_it_was(engine: ArgoEngine, there: OneCluster) -> None:
    submitted(engine).cancel(NAME)
    assert there.workflows[NAME]["spec"]["shutdown"] == "Stop"
    there.say("Failed", ("Failed", "workflow shutdown with strategy: Stop"))
    assert engine.state(NAME).reason == "cancelled"


def test_a_run_that_ended_is_forgotten_in_due_time_and_not_stopped(engine: ArgoEngine, there: OneCluster) -> None:
    submitted(engine)
    there.say("Succeeded", ("Succeeded", ""))
    engine.release(NAME)
    assert "shutdown" not in there.workflows[NAME]["spec"]
    assert there.workflows[NAME]["spec"]["ttlStrategy"]["secondsAfterCompletion"] > 0
