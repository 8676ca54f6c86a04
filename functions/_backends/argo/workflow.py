"""A run as an Argo Workflow, built with Hera (https://hera.readthedocs.io), version 6 for Argo 3.7."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from functions._backends.runs.conventions import Layout, arguments, variables
from functions._backends.runs.documents import encode
from functions._domain import cluster
from functions._domain.ports import Run

if TYPE_CHECKING:
    from hera.workflows import models

LAYOUT = Layout(Path("/opt/ml"))
"""Where a container finds its inputs and leaves its results."""

STAGE, TRAIN, KEEP, ANNOUNCE = "stage", "train", "keep", "announce"
PASSING = 75
"""The exit code of our containers where the fault passes; EX_TEMPFAIL of sysexits.h."""

RETRIES = 2
_INFRASTRUCTURE = (
    'lastRetry.status == "Error" || lastRetry.message matches '
    f'"(?i)^({STAGE}|{KEEP}): Error .exit code {PASSING}|low on resource|preempt|node shutdown|terminated in response"'
)
"""When a run is tried again: its pod was lost or evicted, or the store was away. Never where the script failed."""

USER = 65532
ASSET_NOTE, IMAGE_NOTE = "polyglot.io/asset", "polyglot.io/image"
"""Annotations: the asset that a run makes, and the pinned image that trains it."""
_OURS = {"cpu": "1", "memory": "512Mi"}
"""What each of our containers may use."""

SHARE = 4
"""A container reserves this part of its CPU, which idle neighbours lend, and all of its memory, which nobody can lend:
a small node then runs more than one training at once."""


@dataclass(frozen=True)
class Place:
    """What a run needs to know of the cluster.

    Attributes:
        image: the image that our containers run, which is that of the function that submits.
        disk: the most bytes in each of the volumes that a training may write.
        trace: the W3C ``traceparent`` of the submission, or an empty string.
    """

    image: str
    disk: int = 10 << 30
    trace: str = ""


def workflow(run: Run, place: Place) -> dict[str, Any]:
    """The Workflow of a run, as the Kubernetes API takes it."""
    from hera.workflows import Workflow, models

    made = Workflow(
        name=run.name,
        labels={"app.kubernetes.io/part-of": "polyglot", "polyglot.io/model": str(run.model)},
        annotations={ASSET_NOTE: str(run.asset), IMAGE_NOTE: run.image},
        entrypoint=TRAIN,
        on_exit=ANNOUNCE,
        service_account_name=cluster.RUN_ACCOUNT,
        automount_service_account_token=False,
        executor=models.ExecutorConfig(service_account_name=cluster.RUN_EXECUTOR),
        security_context=models.PodSecurityContext(
            run_as_non_root=True,
            run_as_user=USER,
            run_as_group=USER,
            fs_group=USER,
            seccomp_profile=models.SeccompProfile(type="RuntimeDefault"),
        ),
        pod_spec_patch=_executor(),
        volumes=_volumes(place.disk),
        templates=[_training(run, place), _announcement(run, place)],
    )
    document: dict[str, Any] = made.to_dict()
    return document


def _executor() -> str:
    """Argo's own containers are locked down as ours are, whatever its controller is told.

    Without it a namespace that enforces the restricted Pod Security Standard takes none of a run's pods.
    """
    locked = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    parts = {"initContainers": "init", "containers": "wait"}
    return json.dumps({part: [{"name": name, "securityContext": locked}] for part, name in parts.items()})


def _volumes(disk: int) -> list["models.Volume"]:
    from hera.workflows import models

    limited = models.EmptyDirVolumeSource(size_limit=models.Quantity(root=str(disk)))
    written = [models.Volume(name=name, empty_dir=limited) for name in ("model", "output", "scratch")]
    return [models.Volume(name="input", empty_dir=models.EmptyDirVolumeSource()), *written]


def _training(run: Run, place: Place) -> "models.Template":
    from hera.workflows import models

    document = {"POLYGLOT_RUN": json.dumps(encode(run)), "POLYGLOT_EXECUTION": "{{workflow.uid}}-{{retries}}"}
    credentials = _credentials()
    ours: dict[str, Any] = {"image": place.image, "security_context": _security(), "env_from": credentials}
    stage = models.UserContainer(
        name=STAGE,
        command=_command(STAGE),
        env=_env(document),
        # Argo adds to the pod what init containers mount, but not what single containers of a set do: hence all.
        volume_mounts=[_mount("input", LAYOUT.data.parent), *_results()],
        # It runs alone, so all that the training reserves is there for it; and it sees the same GPU.
        resources=_resources({"cpu": str(run.cpu), "memory": "512Mi"}, run.gpu),
        **ours,
    )
    keep = models.ContainerNode(
        name=KEEP,
        command=_command(KEEP),
        env=_env(document),
        dependencies=[TRAIN],
        volume_mounts=[_mount("model", LAYOUT.model, True), _mount("output", LAYOUT.output, True)],
        resources=_resources(_OURS),
        **ours,
    )
    return models.Template(
        name=TRAIN,
        metadata=models.Metadata(labels={cluster.RUN_LABEL: cluster.RUN_TRAINS}),
        active_deadline_seconds=models.IntOrString(root=run.deadline),
        retry_strategy=models.RetryStrategy(
            limit=models.IntOrString(root=RETRIES), retry_policy="Always", expression=_INFRASTRUCTURE
        ),
        init_containers=[stage],
        container_set=models.ContainerSetTemplate(containers=[keep, _trainer(run)]),
        **_placement(run.gpu),
    )


def _trainer(run: Run) -> "models.ContainerNode":
    """The user's container. What it says in ``output/failure``, else the end of its log, becomes Kubernetes' reason."""
    from hera.workflows import models

    surroundings = {
        "HOME": "/tmp",  # noqa: S108 - a volume of its own
        "TMPDIR": "/tmp",  # noqa: S108 - the same
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **variables(run, LAYOUT),
    }
    return models.ContainerNode(
        name=TRAIN,
        image=run.image,
        command=list(run.command[:1]) or [TRAIN],
        args=[*run.command[1:], *arguments(run)],
        env=_env(surroundings),
        security_context=_security(),
        resources=_resources({"cpu": str(run.cpu), "memory": str(run.memory)}, run.gpu),
        termination_message_path=str(LAYOUT.output / "failure"),
        termination_message_policy="FallbackToLogsOnError",
        volume_mounts=[
            _mount("input", LAYOUT.data.parent, True),
            *_results(),
        ],
    )


def _announcement(run: Run, place: Place) -> "models.Template":
    """Posts ``training.finished``; it knows where the Broker is, and holds nothing else."""
    from hera.workflows import models

    told = [
        models.EnvVar(
            name=name,
            value_from=models.EnvVarSource(
                config_map_key_ref=models.ConfigMapKeySelector(name=cluster.SETTINGS, key=name)
            ),
        )
        for name in ("POLYGLOT_BROKER_URL", "POLYGLOT_TENANT")
    ]
    document = {"POLYGLOT_RUN": json.dumps(encode(run)), "POLYGLOT_EXECUTION": "{{workflow.uid}}"}
    trace = {"TRACEPARENT": place.trace} if place.trace else {}
    return models.Template(
        name=ANNOUNCE,
        metadata=models.Metadata(labels={cluster.RUN_LABEL: cluster.RUN_ANNOUNCES}),
        retry_strategy=models.RetryStrategy(
            limit=models.IntOrString(root=5),
            retry_policy="Always",
            backoff=models.Backoff(duration="2", factor=models.IntOrString(root=2)),
        ),
        container=models.Container(
            image=place.image,
            command=_command(ANNOUNCE),
            env=[*_env({**document, **trace}), *told],
            security_context=_security(),
            resources=_resources(_OURS),
        ),
    )


def _command(step: str) -> list[str]:
    return ["python", "-I", "-m", "functions._backends.argo", step]


def _env(values: Mapping[str, str]) -> list["models.EnvVar"]:
    from hera.workflows import models

    return [models.EnvVar(name=name, value=value) for name, value in values.items()]


def _credentials() -> Sequence["models.EnvFromSource"]:
    from hera.workflows import models

    return [
        models.EnvFromSource(config_map_ref=models.ConfigMapEnvSource(name=cluster.SETTINGS)),
        models.EnvFromSource(secret_ref=models.SecretEnvSource(name=cluster.S3_SECRET)),
    ]


def _mount(name: str, path: Path, read_only: bool = False) -> "models.VolumeMount":
    from hera.workflows import models

    return models.VolumeMount(name=name, mount_path=str(path), read_only=read_only or None)


def _results() -> list["models.VolumeMount"]:
    """What a training may write to."""
    places = {"model": LAYOUT.model, "output": LAYOUT.output, "scratch": Path("/tmp")}  # noqa: S108 - as above
    return [_mount(name, path) for name, path in places.items()]


def _security() -> "models.SecurityContext":
    from hera.workflows import models

    return models.SecurityContext(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=models.Capabilities(drop=["ALL"]),
    )


def _resources(amounts: Mapping[str, str], gpu: int = 0) -> "models.ResourceRequirements":
    """Limits are what was asked for; what is reserved of them, ``SHARE`` says."""
    from hera.workflows import models

    most = {**amounts, **({cluster.GPU: str(gpu)} if gpu else {})}
    reserved = {**most, "cpu": f"{1000 * int(amounts['cpu']) // SHARE}m"}
    limits = {name: models.Quantity(root=amount) for name, amount in most.items()}
    requests = {name: models.Quantity(root=amount) for name, amount in reserved.items()}
    return models.ResourceRequirements(requests=requests, limits=limits)


def _placement(gpu: int) -> dict[str, Any]:
    """GPU nodes carry the label ``accelerator=nvidia``, and mostly a taint."""
    from hera.workflows import models

    if not gpu:
        return {}
    toleration = models.Toleration(key=cluster.GPU, operator="Exists", effect="NoSchedule")
    return {"node_selector": {cluster.GPU_NODE_LABEL: "nvidia"}, "tolerations": [toleration]}
