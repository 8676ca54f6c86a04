"""A whole cluster in memory, as the doctor sees it: namespaces with objects, rights, a clock, what is forbidden."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from functions._domain import cluster as names
from functions._domain.errors import RejectedForbidden
from functions._runtime import manifests
from functions._runtime.manifests import access
from functions.declaration import FUNCTIONS
from tests.fake_cluster import FakeCluster, Manifest, prepared, ready

BROKER_URL = "http://broker-ingress.knative-eventing.svc.cluster.local/acme/polyglot"
ARGO = frozenset({"workflows", "workflowtaskresults", "cronworkflows"})
TENANTS = [function for function in FUNCTIONS if function.scope == "tenant"]


@dataclass
class FakeView(FakeCluster):
    """See the module. ``forbidden`` are kinds, or names of objects, that one may not look at."""

    others: dict[str, "FakeView"] = field(default_factory=dict)
    everywhere_: list[Manifest] = field(default_factory=list)
    known: frozenset[str] = ARGO
    rights: set[tuple[str, str, str, str]] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    seconds_ahead: float = 0.0

    def get(self, api: str, kind: str, name: str) -> Manifest | None:
        self._may_look(kind, name)
        return super().get(api, kind, name)

    def select(self, api: str, kind: str, labels: str = "", fields: str = "") -> list[Manifest]:
        self._may_look(kind)
        return super().select(api, kind, labels, fields)

    def beside(self, namespace: str) -> "FakeView":
        self._may_look(namespace)
        return self.others[namespace]

    def everywhere(self, api: str, kind: str, labels: str = "") -> list[Manifest]:
        self._may_look(kind)
        wanted = {label for label in labels.split(",") if label}
        found = [one for one in self.everywhere_ if one["kind"] == kind]
        return [one for one in found if wanted <= {f"{k}={v}" for k, v in one["metadata"].get("labels", {}).items()}]

    def kinds(self, api: str) -> frozenset[str]:
        return self.known

    def may(self, account: str, verb: str, group: str, resource: str) -> bool:
        self._may_look("LocalSubjectAccessReview")
        return (account, group, resource, verb) in self.rights

    def ahead(self) -> float:
        return self.seconds_ahead

    def _may_look(self, *what: str) -> None:
        if self.forbidden & set(what):
            raise RejectedForbidden(f"the Kubernetes API server answered 403 to {' '.join(what)}")


def controller(version: str = "v3.7.4", available: int = 1) -> Manifest:
    """Argo's controller, as its own manifests deploy it."""
    image = f"quay.io/argoproj/workflow-controller:{version}"
    return {
        "kind": "Deployment",
        "metadata": {"name": "workflow-controller", "labels": {"app": "workflow-controller"}},
        "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
        "status": {"availableReplicas": available},
    }


def node(gpus: int = 1, **labels: str) -> Manifest:
    """A node with some GPUs to give."""
    return {"kind": "Node", "metadata": {"name": "n", "labels": labels},
            "status": {"allocatable": {"nvidia.com/gpu": str(gpus)}}}  # fmt: skip


def serving(features: Iterable[str] = ("nodeselector", "tolerations"), zero: str = "true") -> FakeView:
    """Knative Serving's own namespace."""
    flags = {f"kubernetes.podspec-{name}": "enabled" for name in features}
    maps = {"config-features": flags, "config-autoscaler": {"allow-zero-initial-scale": zero}}
    found = FakeView("knative-serving")
    head = {"apiVersion": "v1", "kind": "ConfigMap"}
    found.add({**head, "metadata": {"name": name}, "data": data} for name, data in maps.items())
    return found


def well() -> FakeView:
    """A deployment with which nothing is wrong."""
    view = FakeView(others={"knative-serving": serving()}, everywhere_=[controller(), node(accelerator="nvidia")])
    view.add(prepared()).add(manifests.objects())
    for kind in ("Service", "Broker", "Trigger", "PingSource"):
        view.controllers[kind] = ready
        view.select(_api(view, kind), kind)
    broker = view.objects["Broker", names.BROKER]
    broker["status"] = {**ready(broker), "address": {"url": BROKER_URL}, "deadLetterSinkUri": "http://bury.acme"}
    view.rights = {(name, *right) for name, rights in access.granted(TENANTS).items() for right in rights}
    return view


def _api(view: FakeView, kind: str) -> str:
    return next(str(one["apiVersion"]) for (found, _), one in view.objects.items() if found == kind)
