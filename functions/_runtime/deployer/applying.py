"""Applying manifests and removing what is no longer rendered; both only look, in a dry run.

>>> with_images([{"kind": "Broker"}], {})
[{'kind': 'Broker'}]
"""

import copy
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from functions._domain.errors import RejectedRequest, Unavailable
from functions._runtime.deployer.cluster import MANAGER, Cluster, RejectedChange
from functions._runtime.manifests.files import Manifest

Change = Literal["created", "changed", "unchanged", "replaced", "pruned"]

OURS = "app.kubernetes.io/part-of=polyglot"

PRUNED = (
    ("sources.knative.dev/v1", "PingSource"),
    ("eventing.knative.dev/v1", "Trigger"),
    ("eventing.knative.dev/v1", "Broker"),
    ("serving.knative.dev/v1", "Service"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("v1", "ServiceAccount"),
)
"""What is removed when it is rendered no longer, in this order. Secrets and ConfigMaps never are: a key is not made
again."""

GONE_SECONDS = 60.0
"""How long an object that is made anew may take to go."""


@dataclass(frozen=True)
class Applied:
    """What became of one object."""

    kind: str
    name: str
    change: Change


def with_images(manifests: Iterable[Manifest], references: Mapping[str, str]) -> list[Manifest]:
    """Manifests whose Services run these images.

    Args:
        manifests: as they are rendered: images without registry or tag.
        references: NAME:TAG or NAME@sha256:… by the image's rendered name.

    Raises:
        RejectedRequest: an image has no reference.
    """
    found = [copy.deepcopy(one) for one in manifests]
    containers = [one for manifest in found for one in _containers(manifest)]
    missing = sorted({one["image"] for one in containers} - set(references))
    if missing:
        raise RejectedRequest(
            f"no image is named for {', '.join(missing)}: `make images` builds them and writes build/images.json; "
            f"pass another file by --images, or one by --image {missing[0]}=REGISTRY/{missing[0]}:TAG"
        )
    for container in containers:
        container["image"] = references[container["image"]]
    return found


def _containers(manifest: Manifest) -> Sequence[Manifest]:
    template = manifest.get("spec", {}).get("template", {}) if manifest["kind"] == "Service" else {}
    containers: Sequence[Manifest] = template.get("spec", {}).get("containers", [])
    return containers


def apply(cluster: Cluster, manifests: Iterable[Manifest], dry_run: bool = False) -> Iterator[Applied]:
    """Make each object as its manifest says, in order."""
    for manifest in manifests:
        api, kind, name = manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"]
        before = cluster.get(api, kind, name)
        yield Applied(kind, name, _applied(cluster, manifest, before, dry_run))


def _applied(cluster: Cluster, manifest: Manifest, before: Manifest | None, dry_run: bool) -> Change:
    try:
        after = cluster.apply(manifest, dry_run)
    except RejectedChange:
        # A Broker's class, a Trigger's Broker, a binding's Role: the object is made anew.
        if before is None:
            raise
        if not dry_run:
            _remove(cluster, manifest)
            cluster.apply(manifest)
        return "replaced"
    if before is None:
        return "created"
    return "unchanged" if _content(before) == _content(after) else "changed"


def _content(found: Manifest) -> Manifest:
    """An object without what the API server and controllers keep in it."""
    kept = ("managedFields", "resourceVersion", "generation")
    metadata = {name: value for name, value in found["metadata"].items() if name not in kept}
    return {**found, "metadata": metadata, "status": None}


def _remove(cluster: Cluster, manifest: Manifest) -> None:
    where = manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"]
    cluster.delete(*where)
    end = time.monotonic() + GONE_SECONDS
    while cluster.get(*where) is not None:
        if time.monotonic() > end:
            raise Unavailable(f"{where[1]} {where[2]} has to be made anew, and was not gone after {GONE_SECONDS:.0f} s")
        time.sleep(0.2)


def prune(cluster: Cluster, manifests: Iterable[Manifest], dry_run: bool = False) -> Iterator[Applied]:
    """Remove what an earlier version applied and this one does not render."""
    rendered = {(one["kind"], one["metadata"]["name"]) for one in manifests}
    for api, kind in PRUNED:
        for found in cluster.select(api, kind, OURS):
            name = found["metadata"]["name"]
            if (kind, name) not in rendered and _is_ours(found):
                cluster.delete(api, kind, name, dry_run)
                yield Applied(kind, name, "pruned")


def _is_ours(found: Manifest) -> bool:
    """Whether this deployer applied it: the label alone anybody can set, and kubectl applies the same files."""
    metadata = found["metadata"]
    managers = {(one.get("manager"), one.get("operation")) for one in metadata.get("managedFields", ())}
    return (MANAGER, "Apply") in managers and not metadata.get("ownerReferences")
