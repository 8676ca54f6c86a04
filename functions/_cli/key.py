"""``polyglot key``: the roles' keys, as files or as Secrets of a cluster. Only their public halves are shown.

Each role has a secp256k1 key, whose account the ledger knows, and a P-256 key for statements. ``polyglot ledger
appoint`` takes the account and the file with the P-256 public key that this command writes.
"""

import argparse
import base64
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from functions._cli import options
from functions._cli.failures import YES
from functions._cli.output import result, say
from functions._domain.errors import RejectedConflict
from functions._domain.ports import ROLES

if TYPE_CHECKING:
    from functions._backends.keys import RoleKeys
    from functions._runtime.deployer.cluster import Cluster

ALL = "all"
EXAMPLES = [
    "polyglot key create all --secret acme --out keys     the Secrets; public halves in keys/",
    "polyglot key create trainer --out keys               the key files themselves",
]


@dataclass(frozen=True)
class Public:
    """What others may know of a role's keys; ``new`` where this call made them."""

    role: str
    account: str
    statement_key: str
    new: bool


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add the command."""
    group = options.group(subparsers, "key", "the roles' keys")
    parser = options.command(group, "create", "make a role's two keys where they are missing", create, EXAMPLES)
    parser.add_argument("roles", nargs="+", choices=(*ROLES, ALL), metavar="ROLE", help=f"{', '.join(ROLES)}, or {ALL}")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where the files go")
    parser.add_argument(
        "--secret", metavar="NAMESPACE", help="keep the keys in Secrets there; only public halves in DIR"
    )
    parser.add_argument("--context", metavar="C", help="of the kubeconfig; its current one if not given")


def create(args: argparse.Namespace) -> int:
    """Make keys; those that are there stay."""
    roles = ROLES if ALL in args.roles else tuple(dict.fromkeys(args.roles))
    if args.secret:
        from functions._runtime.deployer.cluster import KubernetesCluster

        cluster = KubernetesCluster.connected(args.secret, args.context)
        made = [in_secret(cluster, role, args.out) for role in roles]
    else:
        made = [in_files(role, args.out) for role in roles]
    for one in made:
        say(f"{one.role}: {'made' if one.new else 'was there already'}; appoint it with")
        say(
            f"  polyglot ledger appoint {one.role} --account {one.account} --statement-key {one.statement_key} --keys …"
        )
    result(args, "\n".join(f"{one.role} {one.account} {one.statement_key}" for one in made), [asdict(o) for o in made])
    return YES


def in_files(role: str, folder: Path) -> Public:
    """A role's keys as the two files that its function reads."""
    from functions._backends import keys
    from functions._domain.cluster import key_files

    new = not any((folder / name).exists() for name in key_files(role))
    keys.create(role, folder)
    return _public(role, folder, folder, new)


def in_secret(cluster: "Cluster", role: str, out: Path) -> Public:
    """A role's keys as the Secret that its function mounts; nothing private is left on this machine."""
    from functions._backends import keys
    from functions._domain.cluster import key_files, key_secret

    name = key_secret(role)
    with tempfile.TemporaryDirectory() as folder:
        keys.create(role, Path(folder))
        made = {file: (Path(folder) / file).read_text() for file in key_files(role)}
        manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": made}
        new = cluster.get("v1", "Secret", name) is None and cluster.create(manifest)
        if not new:
            _fetch(cluster, name, role, Path(folder))
        return _public(role, Path(folder), out, new)


def _fetch(cluster: "Cluster", name: str, role: str, folder: Path) -> None:
    from functions._domain.cluster import key_files

    data = (cluster.get("v1", "Secret", name) or {}).get("data") or {}
    for file in key_files(role):
        if not data.get(file):
            raise RejectedConflict(f"Secret {name} is there and has no {file}: mend it, or delete it to get new keys")
        (folder / file).write_bytes(base64.b64decode(data[file]))


def _public(role: str, folder: Path, out: Path, new: bool) -> Public:
    keys = _keys(role, folder)
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = out / f"{role}.statement.pub.pem"
    path.write_text(keys.public_key)
    return Public(role, keys.account, str(path), new)


def _keys(role: str, folder: Path) -> "RoleKeys":
    from functions._backends.keys import RoleKeys
    from functions._domain.ports import Role

    return RoleKeys(cast(Role, role), folder, 0, "", "")  # no contract: it only tells its public halves
