"""One Knative Service for each function, or for each variant of one.

https://knative.dev/docs/serving/reference/serving-api/. The probe has no period on purpose: Knative then asks many
times a second while a pod starts, and functions-framework opens the port only when the function is loaded.
"""

from functions._domain import cluster
from functions._runtime.manifests.files import Manifest
from functions._runtime.manifests.images import image_of
from functions.declaration import Function, Variant

CLUSTER_LOCAL = {"networking.knative.dev/visibility": "cluster-local"}
RESERVED_CPU = 20
"""A function's reserved CPU is this part of its limit: many functions at zero share few cores."""

GPU_DEADLINE = "1800s"
"""How long a revision may wait for a GPU node before Knative gives it up."""

SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def service(function: Function, name: str) -> Manifest:
    """The Service of this name."""
    variant, function = dict(function.builds)[name], function.of(name)
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {**labels(function), **({} if function.routes else CLUSTER_LOCAL)}},
        "spec": {
            "template": {
                "metadata": {"annotations": _scale(function, variant), "labels": labels(function)},
                "spec": _pod(function, variant, name),
            }
        },
    }


def labels(function: Function) -> dict[str, str]:
    """The labels of everything that belongs to a function."""
    return {"app.kubernetes.io/part-of": "polyglot", "app.kubernetes.io/name": function.name}


def _scale(function: Function, variant: Variant | None) -> dict[str, str]:
    """Scale bounds.

    A variant starts when it is first asked: each reserves gigabytes, and all of them together more than a node or a
    quota may have. Two never share a GPU, which an update would otherwise need. What takes one request at a time is
    wanted once for each: Knative aims at 70 % of it otherwise, and starts two for the first.
    """
    on_gpu = bool(variant and variant.gpu)
    bounds = {"initial": 0 if variant else 1, "min": 0, "max": 1 if on_gpu else function.max_scale}
    found = {f"autoscaling.knative.dev/{which}-scale": str(number) for which, number in bounds.items()}
    if function.concurrency == 1:
        found["autoscaling.knative.dev/target-utilization-percentage"] = "100"
    return {**found, **({"serving.knative.dev/progress-deadline": GPU_DEADLINE} if on_gpu else {})}


def _pod(function: Function, variant: Variant | None, name: str) -> Manifest:
    volumes: list[Manifest] = [
        {"name": "scratch", "emptyDir": {"sizeLimit": variant.scratch if variant else function.scratch}}
    ]
    if function.role:
        volumes.append({"name": "keys", "secret": {"secretName": cluster.key_secret(function.role)}})
    return {
        "serviceAccountName": function.name,
        # Knative takes `false` only; where it is not set, the service account says yes.
        **({} if function.engine else {"automountServiceAccountToken": False}),
        "enableServiceLinks": False,
        "containerConcurrency": function.concurrency,
        "timeoutSeconds": function.timeout,
        # Without it the first byte is due after 300 s, whatever the line above says.
        "responseStartTimeoutSeconds": function.timeout,
        **(_placement(variant) if variant and variant.gpu else {}),
        "containers": [_container(function, variant, name)],
        "volumes": volumes,
    }


def _placement(variant: Variant) -> Manifest:
    return {
        "nodeSelector": {cluster.GPU_NODE_LABEL: variant.filter["accelerator"]},
        "tolerations": [{"key": cluster.GPU, "operator": "Exists", "effect": "NoSchedule"}],
    }


def _container(function: Function, variant: Variant | None, name: str) -> Manifest:
    mounts: list[Manifest] = [{"name": "scratch", "mountPath": "/tmp"}]  # noqa: S108 - a volume of the pod's own
    # One thread more than requests: with a single one gunicorn's worker serves an idle connection and nothing else.
    environment = {"FUNCTION_TARGET": name, "THREADS": str(function.concurrency + 1)}
    if function.role:
        mounts.append({"name": "keys", "mountPath": cluster.KEYS_FOLDER, "readOnly": True})
        environment["POLYGLOT_KEYS"] = cluster.KEYS_FOLDER
    return {
        "name": "function",
        "image": image_of(function, variant),
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "envFrom": _settings(function),
        "readinessProbe": {"tcpSocket": {"port": 0}, "successThreshold": 1},
        "resources": _resources(function, variant),
        "securityContext": SECURITY,
        "volumeMounts": mounts,
    }


def _settings(function: Function) -> list[Manifest]:
    """Where settings come from; what serves all tenants is given none of theirs, and no credentials."""
    if function.scope == "cluster":
        return [{"configMapRef": {"name": cluster.FORWARD_SETTINGS}}]
    return [{"configMapRef": {"name": cluster.SETTINGS}}, {"secretRef": {"name": function.bucket_secret}}]


def _resources(function: Function, variant: Variant | None) -> Manifest:
    """Memory is reserved whole, so that no function is killed because another one grew."""
    memory = variant.memory if variant else function.memory
    gpu = {cluster.GPU: str(variant.gpu)} if variant and variant.gpu else {}
    reserved = f"{round(float(function.cpu) * 1000 / RESERVED_CPU)}m"
    return {
        "requests": {"cpu": reserved, "memory": memory, **gpu},
        "limits": {"cpu": function.cpu, "memory": memory, **gpu},
    }
