"""The tenant that is measured: its own namespace, bucket and ledger, with every function deployed and one chain ended.

It is made as ``tests.cluster.tenants`` makes one, by the commands that an operator has, and removed at the end.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from benchmarks.cluster.line import Line
from functions._backends.s3 import S3Storage
from functions._runtime import manifests
from functions._runtime.deployer.applying import with_images
from functions._runtime.deployer.cluster import KubernetesCluster
from functions._runtime.deployer.waiting import Waiter
from functions._runtime.manifests.files import Manifest
from tests.cluster import chains, tenants
from tests.cluster.edge import Edge, found
from tests.cluster.tenants import Tenant
from tests.conftest import MAKE_MODEL
from tests.platforms import COPY_MODEL

KEEP = "POLYGLOT_KEEP"


@dataclass
class Site:
    """A tenant, the cluster it is on, and the references of the images it runs by their rendered names."""

    edge: Edge
    tenant: Tenant
    images: Mapping[str, str]
    ended: Mapping[str, UUID] = field(default_factory=dict)

    @cached_property
    def cluster(self) -> KubernetesCluster:
        """Its namespace, seen with the operator's rights."""
        return self.tenant.cluster

    @cached_property
    def storage(self) -> S3Storage:
        """Its bucket."""
        return self.tenant.storage

    @cached_property
    def version(self) -> str:
        """What the cluster is, in words."""
        from kubernetes.client import VersionApi
        from kubernetes.config import new_client_from_config

        api = VersionApi(new_client_from_config(config_file=self.tenant.kubeconfig))  # type: ignore[no-untyped-call]
        serving = tenants.connected(self.tenant.kubeconfig, "knative-serving").get(
            "apps/v1", "Deployment", "controller"
        )
        knative = ((serving or {}).get("metadata", {}).get("labels") or {}).get("app.kubernetes.io/version", "")
        return " ".join(
            [
                "Kubernetes",
                api.get_code().git_version,
                *(["Knative", knative] if any(map(str.isdigit, knative)) else []),
            ]
        )

    @property
    def authorized(self) -> Mapping[str, str]:
        """The headers of a client that sends JSON."""
        return {"Authorization": f"Bearer {self.tenant.token}", "Content-Type": "application/json"}

    def public(self, service: str) -> Line:
        """A new connection to a Service, as a client has one."""
        return Line(self.tenant.ingress, urlsplit(self.tenant.url.replace("{function}", service)).netloc)

    def private(self, service: str) -> Line:
        """A new connection to a Service by its name inside the cluster, as a Broker has one."""
        return Line(self._private_ingress, f"{service}.{self.tenant.namespace}.svc.cluster.local")

    @cached_property
    def _private_ingress(self) -> str:
        """Where Knative points the Services' names inside the cluster."""
        name = str((self.cluster.get("v1", "Service", "ingest") or {})["spec"]["externalName"])
        service, namespace, *_ = name.split(".")
        gateway = tenants.connected(self.tenant.kubeconfig, namespace).get("v1", "Service", service) or {}
        return f"http://{gateway['spec']['clusterIP']}"

    def rendered(self, name: str, annotations: Mapping[str, str] | None = None) -> Manifest:
        """One of our Services as it is deployed, with more annotations on its pods."""
        for manifest in with_images(manifests.objects(), self.images):
            if manifest["kind"] == "Service" and manifest["metadata"]["name"] == name:
                manifest["spec"]["template"]["metadata"]["annotations"].update(annotations or {})
                return manifest
        raise KeyError(name)

    def apply(self, wanted: Sequence[Manifest], seconds: float = 300) -> None:
        """Apply manifests and wait until those that can be ready are. Raises RuntimeError where one is not."""
        for manifest in wanted:
            self.cluster.apply(manifest)
        waited = Waiter(self.cluster, lambda _: None).wait(wanted, seconds)
        wrong = {name: one.state.reason for (_, name), one in waited.items() if not one.state.ready}
        if wrong:
            raise RuntimeError(f"not ready after {seconds:.0f} s: {wrong}")

    @property
    def restarts(self) -> int:
        """How often containers of Knative Eventing were started again, which loses what a Broker in memory had."""
        pods = tenants.connected(self.tenant.kubeconfig, "knative-eventing").select("v1", "Pod")
        found = [one for pod in pods for one in pod.get("status", {}).get("containerStatuses", ())]
        return sum(int(one["restartCount"]) for one in found)

    def register_model(self, dataset: UUID, name: str) -> UUID:
        """Ask for a model whose training copies the model out of its dataset; returns at once."""
        body = {
            "datasets": {"train": str(dataset)},
            "image": self.images["polyglot-ledger"],
            "command": ["python", "-c", COPY_MODEL],
            "name": name,
        }
        line = self.public("register")
        try:
            said = line.ask("POST", "/v1/models", json.dumps(body).encode(), self.authorized)
        finally:
            line.close()
        return UUID(json.loads(said.body)["asset"])

    def status(self, asset: UUID) -> Any:
        """What ``retrieve`` says of an asset."""
        return chains.status(self.tenant, str(asset))


@contextmanager
def running(images: Path, namespace: str = "", admin: Path | None = None) -> Iterator[Site]:
    """A tenant until the end of the block.

    Args:
        images: what ``make images`` has written.
        namespace: one that is kept, and used again where it is there; a new one without.
        admin: the folder of its admin key, where it is kept.

    Raises:
        LookupError: there is no cluster, and why.
    """
    say(f"making the tenant {namespace or 'bench-…'} and its first chain …")
    edge = found()
    if isinstance(edge, str):
        raise LookupError(edge)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        name = namespace or f"bench-{secrets.token_hex(3)}"
        tenant = tenants.created(edge, name, admin or Path(folder, "admin"), images)
        site = Site(edge, tenant, json.loads(images.read_text()))
        try:
            site.ended = _ended_chain(site, Path(folder))
            yield site
        finally:
            if not namespace and not os.environ.get(KEEP):
                tenants.removed(edge, tenant)


def say(text: str) -> None:
    """Tell who waits what is being done."""
    print(text, file=sys.stderr, flush=True)


def _ended_chain(site: Site, folder: Path) -> Mapping[str, UUID]:
    """A chain's four assets by kind, once all of it is done."""
    place = folder / "dataset"
    place.mkdir()
    subprocess.run([sys.executable, "-W", "ignore", "-c", MAKE_MODEL, str(place / "model.pt2")], check=True)
    dataset = chains.dataset_of(site.tenant, place, "benchmark")
    model = site.register_model(UUID(dataset), "benchmark")
    found = chains.wait_for(site.tenant, str(model), ("complete", "failed", "rejected"), seconds=1200)
    if found["state"] != "complete":
        raise RuntimeError(f"the first chain came to nothing: {found}")
    wait_until_closed(site, [model])
    return chains.assets_of(dataset, str(model))


def wait_until_closed(site: Site, models: Sequence[UUID], seconds: float = 120) -> None:
    """Sweep until nothing of these chains is looked after any more. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while left := [key for key in chains.open_chains(site.tenant) if any(str(model) in key for model in models)]:
        if time.monotonic() > end:
            raise TimeoutError(f"open after {seconds:.0f} s: {left[:5]}")
        chains.reconcile(site.tenant)
