"""Role keys in a cluster: Secrets with the keys, a ConfigMap with their public halves, and pods that hold old ones.

A key is made where this runs, in a temporary folder that is gone afterwards. In a Job of the tenant's namespace that is
the cluster itself, and nobody has seen it. What comes out is the ConfigMap, from which the admin appoints.
"""

import base64
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from functions._backends import keys
from functions._domain import cluster as names
from functions._domain.errors import RejectedConflict
from functions._domain.ports import Role
from functions._runtime.deployer.cluster import Cluster
from functions.declaration import FUNCTIONS


@dataclass(frozen=True)
class Public:
    """What others may know of a role's keys: the ledger account, and the P-256 public key in PEM."""

    role: str
    account: str
    public_key: str


def in_folder(role: str, folder: Path) -> Public:
    """The public halves of a role's key files."""
    held = keys.RoleKeys(cast(Role, role), folder, 0, "", "")  # no contract: it only tells its public halves
    return Public(role, held.account, held.public_key)


def in_secret(cluster: Cluster, role: str) -> tuple[Public, bool]:
    """A role's keys as the Secret that its function mounts, made where it is missing; True where this call made it.

    Raises:
        RejectedConflict: the Secret is there and lacks a key.
    """
    with fresh(role) as folder:
        new = cluster.get("v1", "Secret", names.key_secret(role)) is None and cluster.create(_secret(role, folder))
        if not new:
            _fetch(cluster, role, folder)
        return in_folder(role, folder), new


@contextmanager
def fresh(role: str) -> Iterator[Path]:
    """New keys of a role, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        keys.create(role, Path(name))
        yield Path(name)


def install(cluster: Cluster, role: str, folder: Path) -> None:
    """Put a folder's keys into the role's Secret, instead of what it holds."""
    cluster.apply(_secret(role, folder))


def publish(cluster: Cluster, made: Sequence[Public]) -> None:
    """Write public halves into the ConfigMap from which they are appointed; those of other roles stay."""
    before = (cluster.get("v1", "ConfigMap", names.PUBLIC_KEYS) or {}).get("data") or {}
    data = dict(before)
    for one in made:
        account, public_key = names.public_key_files(one.role)
        data |= {account: one.account, public_key: one.public_key}
    if data != before:
        metadata = {"name": names.PUBLIC_KEYS}
        cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def published(cluster: Cluster, role: str) -> Public:
    """What the namespace says of a role's keys.

    Raises:
        RejectedConflict: nothing yet.
    """
    data = (cluster.get("v1", "ConfigMap", names.PUBLIC_KEYS) or {}).get("data") or {}
    account, public_key = (data.get(name, "") for name in names.public_key_files(role))
    if not account or not public_key:
        raise RejectedConflict(
            f"ConfigMap {names.PUBLIC_KEYS} of namespace {cluster.namespace} says nothing of role {role}: has the Job "
            f"that makes keys ended? `polyglot key create {role} --secret {cluster.namespace}` makes them too"
        )
    return Public(role, account, public_key)


def restart(cluster: Cluster, role: str) -> int:
    """End the pods that were started with a role's earlier keys; returns how many. What they did is delivered again."""
    services = [service for function in FUNCTIONS if function.role == role for service in function.services]
    ended = 0
    for service in services:
        for pod in cluster.select("v1", "Pod", labels=f"serving.knative.dev/service={service}"):
            cluster.delete("v1", "Pod", pod["metadata"]["name"])
            ended += 1
    return ended


def _secret(role: str, folder: Path) -> dict[str, object]:
    made = {file: base64.b64encode((folder / file).read_bytes()).decode() for file in names.key_files(role)}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": names.key_secret(role)}, "data": made}


def _fetch(cluster: Cluster, role: str, folder: Path) -> None:
    name = names.key_secret(role)
    data = (cluster.get("v1", "Secret", name) or {}).get("data") or {}
    for file in names.key_files(role):
        if not data.get(file):
            raise RejectedConflict(f"Secret {name} is there and has no {file}: mend it, or delete it to get new keys")
        (folder / file).write_bytes(base64.b64decode(data[file]))
