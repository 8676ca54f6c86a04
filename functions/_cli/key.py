"""``polyglot key``: the roles' keys, as files or as Secrets of a cluster. Only their public halves are shown.

Each role has a secp256k1 key, whose account the ledger knows, and a P-256 key for statements. ``polyglot ledger
appoint`` lets them act. ``rotate`` puts new ones in their place, and ``revoke`` ends what an account may do; both need
the tenant's admin key, and what was signed before stays as good as it was.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from functions._cli import options
from functions._cli.failures import YES
from functions._cli.ledger import ALL, admin, given
from functions._cli.output import result, say
from functions._domain.errors import RejectedRequest
from functions._domain.ports import ROLES

if TYPE_CHECKING:
    from functions._backends.ethereum_admin import LedgerAdmin
    from functions._runtime.deployer.cluster import Cluster
    from functions._runtime.deployer.role_keys import Public

ROTATE = """\
Give a role new keys: make them, let the ledger know them, put them where the function finds them, end the pods that
have read the old ones, and dismiss every other account of the role.

It can be run again wherever it was cut off. What the old key signed and the ledger has taken stays valid, and checks
against trust files from before and after; what it signed and the ledger has not taken yet is signed again by the new
one. With --compromised the old accounts are dismissed first: nobody acts in the role until the new keys are there."""
REVOKE = """\
End what an account may do in a role, on the ledger, at once. What it signed and the ledger has taken stays as it is. A
step of that role that comes meanwhile is rejected, with the reason; `polyglot key rotate` gives the role new keys, and
`polyglot retry` does the step again."""
PLACES = """\
with --secret the keys are made and kept in Secrets of the namespace, with --out as files of a folder."""


@dataclass(frozen=True)
class Shown:
    """What is told of a role's keys; ``new`` where this call made them, ``statement_key`` where it wrote a file."""

    role: str
    account: str
    statement_key: str
    new: bool
    dismissed: Sequence[str] = ()


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add the commands."""
    group = options.group(subparsers, "key", "the roles' keys")
    making = options.command(
        group, "create", "make a role's two keys where they are missing", create,
        [
            "polyglot key create all --secret acme                Secrets of namespace acme; public halves beside them",
            "polyglot key create all --secret acme --out keys     public halves in keys/ too",
            "polyglot key create trainer --out keys               the key files themselves",
        ],
    )  # fmt: skip
    _place(making)
    rotating = options.command(
        group, "rotate", "give a role new keys, and dismiss the old ones", rotate,
        [
            "polyglot key rotate trainer --secret acme --keys acme-admin",
            "polyglot key rotate all --out DIR/keys --keys DIR/keys      of `polyglot up --data DIR`; then restart it",
        ],
    )  # fmt: skip
    rotating.description = ROTATE
    _place(rotating)
    rotating.add_argument("--compromised", action="store_true", help="dismiss the old accounts first")
    _as_admin(rotating)
    revoking = options.command(
        group, "revoke", "end what an account may do in a role", revoke,
        ["polyglot key revoke trainer --account 0x… --keys acme-admin", "polyglot key revoke trainer --every …"],
    )  # fmt: skip
    revoking.description = REVOKE
    revoking.add_argument("role", choices=ROLES, metavar="ROLE", help=", ".join(ROLES))
    accounts = revoking.add_mutually_exclusive_group(required=True)
    accounts.add_argument("--account", metavar="0x…", help="this one")
    accounts.add_argument("--every", action="store_true", help="every account that holds the role")
    _as_admin(revoking)


def _place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("roles", nargs="+", choices=(*ROLES, ALL), metavar="ROLE", help=f"{', '.join(ROLES)}, or {ALL}")
    parser.add_argument("--secret", metavar="NAMESPACE", help="keep the keys in Secrets there")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the key files; with --secret only the public halves")
    parser.add_argument("--context", metavar="C", help="of the kubeconfig; its current one if not given")


def _as_admin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keys", required=True, type=Path, metavar="DIR", help="holds the admin key")
    parser.add_argument("--rpc", metavar="URL", help="the EVM node (default: POLYGLOT_RPC_URL)")
    parser.add_argument("--ledger", metavar="ADDRESS", help="the AssetLedger (default: POLYGLOT_LEDGER)")


def create(args: argparse.Namespace) -> int:
    """Make keys; those that are there stay."""
    roles = _roles(args)
    made = in_secrets(_cluster(args), roles, args.out) if args.secret else [in_files(role, args.out) for role in roles]
    for one in made:
        say(f"{one.role}: {'made' if one.new else 'was there already'}, {one.account}")
    say("let them act:")
    for line in [f"all --namespace {args.secret}"] if args.secret else map(_appointed, made):
        say(f"  polyglot ledger appoint {line} --keys …")
    return _told(args, made)


def rotate(args: argparse.Namespace) -> int:
    """Put new keys in the place of old ones."""
    ledger, acting = given(args.ledger, "POLYGLOT_LEDGER"), admin(args)
    roles = _roles(args)
    place = _cluster(args) if args.secret else args.out
    done = []
    for role in roles:
        public, old = rotated_in(place, role, acting, ledger, args.compromised)
        done.append(_shown(public, args.out, True, old))
    if not args.secret:
        say(f"what reads {args.out} keeps the old keys until it is started again")
    return _told(args, done)


def revoke(args: argparse.Namespace) -> int:
    """Dismiss accounts."""
    ledger, acting = given(args.ledger, "POLYGLOT_LEDGER"), admin(args)
    held = acting.holders(ledger, args.role)
    wanted = held if args.every else [one for one in held if one.lower() == args.account.lower()]
    if args.account and not wanted:
        say(f"{args.account} does not hold the role {args.role}" + (f"; {', '.join(held)} does" if held else ""))
    for account in wanted:
        acting.dismiss(ledger, args.role, account)
        say(f"{account} is {args.role} no longer")
    if set(wanted) == set(held):
        say(f"nobody is {args.role} now: its steps are rejected until `polyglot key rotate {args.role} …`")
    result(args, "\n".join(wanted), {"role": args.role, "dismissed": list(wanted)})
    return YES


def in_secrets(cluster: "Cluster", roles: Sequence[str], out: Path | None = None) -> list[Shown]:
    """Roles' keys as Secrets, with their public halves published beside them, and in a folder if one is given."""
    from functions._runtime.deployer import role_keys

    made = [role_keys.in_secret(cluster, role) for role in roles]
    role_keys.publish(cluster, [public for public, _ in made])
    return [_shown(public, out, new) for public, new in made]


def in_files(role: str, folder: Path) -> Shown:
    """A role's keys as the two files that its function reads."""
    from functions._backends import keys
    from functions._domain.cluster import key_files
    from functions._runtime.deployer import role_keys

    new = not any((folder / name).exists() for name in key_files(role))
    keys.create(role, folder)
    return _shown(role_keys.in_folder(role, folder), folder, new)


def rotated_in(
    place: "Cluster | Path", role: str, acting: "LedgerAdmin", ledger: str, compromised: bool = False
) -> "tuple[Public, Sequence[str]]":
    """Give a role new keys in a namespace or a folder; only they hold the role afterwards. Returns who held it before.

    Killed anywhere and called again, it makes new keys again, and whatever an earlier call appointed is dismissed too.
    """
    from functions._backends import keys
    from functions._runtime.deployer import role_keys

    old = acting.holders(ledger, role)
    if compromised:
        _dismiss(acting, ledger, role, old)
    with role_keys.fresh(role) as folder:
        public = role_keys.in_folder(role, folder)
        acting.appoint(ledger, role, public.account, keys.key_digest(public.public_key))
        say(f"{public.account} is {role}")
        if isinstance(place, Path):
            keys.replace(role, place, folder)
        else:
            role_keys.install(place, role, folder)
            role_keys.publish(place, [public])
            say(f"{role_keys.restart(place, role)} pods with the old keys are ending")
    if not compromised:
        _dismiss(acting, ledger, role, old)
    return public, old


def _dismiss(acting: "LedgerAdmin", ledger: str, role: str, accounts: Sequence[str]) -> None:
    for account in accounts:
        acting.dismiss(ledger, role, account)
        say(f"{account} is {role} no longer")


def _roles(args: argparse.Namespace) -> Sequence[str]:
    if not args.secret and not args.out:
        raise RejectedRequest(f"where are the keys? {PLACES}")
    return ROLES if ALL in args.roles else tuple(dict.fromkeys(args.roles))


def _cluster(args: argparse.Namespace) -> "Cluster":
    from functions._runtime.deployer.cluster import KubernetesCluster

    return KubernetesCluster.connected(args.secret, args.context)


def _appointed(one: Shown) -> str:
    return f"{one.role} --account {one.account} --statement-key {one.statement_key}"


def _shown(public: "Public", out: Path | None, new: bool, dismissed: Sequence[str] = ()) -> Shown:
    path = _written(public, out) if out else ""
    return Shown(public.role, public.account, path, new, dismissed)


def _written(public: "Public", out: Path) -> str:
    from functions._domain.cluster import public_key_files

    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = out / public_key_files(public.role)[1]
    path.write_text(public.public_key)
    return str(path)


def _told(args: argparse.Namespace, done: Sequence[Shown]) -> int:
    from dataclasses import asdict

    lines = [f"{one.role} {one.account} {one.statement_key}".rstrip() for one in done]
    result(args, "\n".join(lines), [asdict(one) for one in done])
    return YES
