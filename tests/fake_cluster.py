"""A cluster's namespace in memory, as the deployer sees it: objects, who applied them, and controllers that answer.

A controller here is a function of an applied object to its status; it is asked each time a kind is listed, as a real
one gets to work some time after an object is applied.
"""

import base64
import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from functions._domain import cluster as names
from functions._runtime.deployer.cluster import MANAGER, RejectedChange

Manifest = dict[str, Any]
Controller = Callable[[Manifest, int], Manifest]
"""From an object, and how often it was asked about it, to the object's status."""

APIS = {
    "Service": "serving.knative.dev/v1",
    "Revision": "serving.knative.dev/v1",
    "Broker": "eventing.knative.dev/v1",
    "Trigger": "eventing.knative.dev/v1",
    "PingSource": "sources.knative.dev/v1",
    "ReplicaSet": "apps/v1",
}


def ready(found: Manifest, asked: int = 0) -> Manifest:
    """A status that says yes, with an address as Knative gives them."""
    return {
        "observedGeneration": found["metadata"]["generation"],
        "conditions": [{"type": "Ready", "status": "True"}],
        "url": f"http://{found['metadata']['name']}.acme.edge.test",
    }


def not_ready(reason: str, message: str, revision: str = "") -> Controller:
    """A controller that always says no."""

    def controller(found: Manifest, asked: int) -> Manifest:
        condition = {"type": "Ready", "status": "False", "reason": reason, "message": message}
        created = {"latestCreatedRevisionName": revision} if revision else {}
        return {"observedGeneration": found["metadata"]["generation"], "conditions": [condition], **created}

    return controller


def prepared() -> list[Manifest]:
    """What a tenant's namespace holds before a deployment."""
    settings = {
        "POLYGLOT_TENANT": "acme",
        "POLYGLOT_BUCKET": "acme-models",
        "POLYGLOT_S3_URL": "http://s3.storage.svc.cluster.local",
        "POLYGLOT_RPC_URL": "http://evm.ledger.svc.cluster.local:8545",
        "POLYGLOT_CHAIN_ID": "1337",
        "POLYGLOT_LEDGER": "0x" + 40 * "a",
        "POLYGLOT_EVIDENCE_LOG": "0x" + 40 * "b",
        "POLYGLOT_BROKER_URL": "http://broker-ingress.knative-eventing.svc.cluster.local/acme/polyglot",
        "POLYGLOT_ENGINE": "argo",
    }
    roles = ("registrar", "trainer", "translator", "verifier")
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "acme"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": names.SETTINGS}, "data": settings},
        *(
            secret(name, dict.fromkeys(names.S3_SECRET_KEYS, "edge"))
            for name in (names.S3_SECRET, names.S3_ERASE_SECRET)
        ),
        *(secret(names.key_secret(role), _keys(role)) for role in roles),
    ]


def _keys(role: str) -> Mapping[str, str]:
    ledger, statement = names.key_files(role)
    return {ledger: 64 * "1", statement: "-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----\n"}


def secret(name: str, values: Mapping[str, str]) -> Manifest:
    """A Secret as the API server answers it."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


@dataclass
class FakeCluster:
    """See the module."""

    namespace: str = "acme"
    controllers: dict[str, Controller] = field(default_factory=dict)
    immutable: Mapping[str, Callable[[Manifest], object]] = field(default_factory=dict)
    logs: Mapping[tuple[str, bool], str] = field(default_factory=dict)
    objects: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    applied: list[tuple[str, str]] = field(default_factory=list)
    deleted: list[tuple[str, str]] = field(default_factory=list)
    asked: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, found: Iterable[Manifest]) -> "FakeCluster":
        """Put objects there that somebody else made."""
        for one in found:
            one = copy.deepcopy(one)
            one["metadata"].setdefault("generation", 1)
            self.objects[one["kind"], one["metadata"]["name"]] = one
        return self

    def get(self, api: str, kind: str, name: str) -> Manifest | None:
        assert api == APIS.get(kind, api)
        return copy.deepcopy(self.objects.get((kind, name)))

    def select(self, api: str, kind: str, labels: str = "", fields: str = "") -> list[Manifest]:
        assert api == APIS.get(kind, api)
        for (its_kind, name), found in self.objects.items():
            controller = self.controllers.get(f"{kind}/{name}", self.controllers.get(kind))
            if its_kind == kind and controller:
                self.asked[kind, name] = asked = self.asked.get((kind, name), 0) + 1
                found["status"] = controller(found, asked)
        found_here = (one for (its_kind, _), one in self.objects.items() if its_kind == kind)
        return [copy.deepcopy(one) for one in found_here if _selected(one, labels, fields)]

    def apply(self, manifest: Manifest, dry_run: bool = False) -> Manifest:
        key = manifest["kind"], manifest["metadata"]["name"]
        before = self.objects.get(key)
        of = self.immutable.get(manifest["kind"])
        if before and of and of(before) != of(manifest):
            raise RejectedChange(f"{key[1]}: Immutable fields changed (-old +new): broker")
        after = copy.deepcopy(manifest)
        changed = before is None or any(before.get(name) != after[name] for name in after if name != "metadata")
        generation = before["metadata"]["generation"] if before else 0
        after["metadata"]["generation"] = generation + changed
        after["metadata"]["managedFields"] = [{"manager": MANAGER, "operation": "Apply"}]
        if before and "status" in before:
            after["status"] = before["status"]
        if not dry_run:
            self.applied.append(key)
            self.objects[key] = after
        return copy.deepcopy(after)

    def create(self, manifest: Manifest) -> bool:
        key = manifest["kind"], manifest["metadata"]["name"]
        if key in self.objects:
            return False
        made = copy.deepcopy(manifest)
        if "stringData" in made:
            made = secret(key[1], made["stringData"])
        self.add([made])
        return True

    def delete(self, api: str, kind: str, name: str, dry_run: bool = False) -> None:
        if not dry_run and self.objects.pop((kind, name), None):
            self.deleted.append((kind, name))

    def log(self, pod: str, container: str, previous: bool, lines: int) -> str:
        return "\n".join(self.logs.get((pod, previous), "").splitlines()[-lines:])


def _selected(found: Manifest, labels: str, fields: str) -> bool:
    has = {f"{name}={value}" for name, value in found["metadata"].get("labels", {}).items()}
    about = found.get("involvedObject", {})
    says = {f"involvedObject.name={about.get('name')}", f"type={found.get('type')}"}
    return {one for one in labels.split(",") if one} <= has and {one for one in fields.split(",") if one} <= says
