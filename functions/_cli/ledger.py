"""`polyglot ledger`: the admin's commands. They speak to the EVM node, and run where the tenant's admin key is."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from functions._cli import options
from functions._cli.failures import YES
from functions._cli.output import result, say
from functions._domain.errors import RejectedRequest
from functions._domain.ports import ROLES

if TYPE_CHECKING:
    from functions._backends.ethereum_admin import LedgerAdmin

ALL = "all"
TRUST = """\
Write what somebody who checks evidence has to trust: the ledger's address and the digest of its code, who was appointed
to which role until a block, and that block.

An auditor runs it against a node of their own (--rpc), with the ledger's address from somebody they believe. Then
`polyglot check --trust` holds a bundle against what that node says. Asked of the platform's own node, POLYGLOT_RPC_URL,
it only holds what the platform says now against what it said before, and the report says so."""


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add the commands."""
    ledger = options.group(subparsers, "ledger", "the tenant's ledger contracts")
    init = _command(
        ledger, "init", "deploy what is missing of the platform's contracts; prints the ledger's address", run_init,
        ["polyglot ledger init --rpc http://127.0.0.1:8545 --keys ./admin"],
    )  # fmt: skip
    init.add_argument("--keys", required=True, type=Path, metavar="DIR", help="holds the admin key; made if missing")
    appoint = _command(
        ledger, "appoint", "let a role's two keys act: its ledger account and its statement key", run_appoint,
        [
            "polyglot ledger appoint all --namespace acme --keys ./admin      what the namespace has published",
            "polyglot ledger appoint verifier --account 0x… --statement-key verifier.pem --keys ./admin",
        ],
    )  # fmt: skip
    appoint.add_argument("role", choices=(*ROLES, ALL), metavar="ROLE", help=f"{', '.join(ROLES)}, or {ALL}")
    appoint.add_argument("--account", help="the role's account")
    appoint.add_argument("--statement-key", type=Path, metavar="PEM", help="its P-256 public key")
    appoint.add_argument("--namespace", metavar="N", help="take both from ConfigMap polyglot-keys there")
    appoint.add_argument("--context", metavar="C", help="of the kubeconfig; its current one if not given")
    appoint.add_argument("--keys", required=True, type=Path, metavar="DIR", help="holds the admin key")
    trust = _command(
        ledger, "trust", "write what somebody who checks evidence has to trust", run_trust,
        [
            "polyglot ledger trust -o trust.json",
            "polyglot ledger trust --rpc http://my-node:8545 --ledger 0x… --block 1234 -o trust.json",
        ],
    )  # fmt: skip
    trust.description = TRUST
    trust.add_argument("-o", dest="output", type=Path, metavar="FILE", help="instead of stdout")
    trust.add_argument("--block", type=_number, metavar="N", help="a bundle's block (default: the latest)")
    trust.add_argument(
        "--evidence-log", metavar="ADDRESS", help="the EvidenceLog (default: POLYGLOT_EVIDENCE_LOG, or left out)"
    )


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a block's number")
    return int(text)


def _command(
    group: "options.Subparsers[argparse.ArgumentParser]", name: str, summary: str, run: options.Run, examples: list[str]
) -> argparse.ArgumentParser:
    parser = options.command(group, name, summary, run, examples)
    parser.add_argument("--rpc", metavar="URL", help="the EVM node (default: POLYGLOT_RPC_URL)")
    parser.add_argument("--ledger", metavar="ADDRESS", help="the AssetLedger (default: POLYGLOT_LEDGER)")
    return parser


def given(value: str | None, setting: str) -> str:
    """An option's value, or else the setting's. Raises RejectedRequest where there is neither."""
    found = value or os.environ.get(setting, "")
    if not found:
        raise RejectedRequest(f"{setting} is not set: pass it as an option, or source the platform's env file")
    return found


def run_init(args: argparse.Namespace) -> int:
    """Deploy what is missing of the contracts."""
    from functions._backends import keys
    from functions._backends.ethereum_admin import LedgerAdmin

    found = LedgerAdmin(given(args.rpc, "POLYGLOT_RPC_URL"), keys.create_admin(args.keys)).initialize()
    say(f"evidence log {found.evidence_log} on chain {found.chain_id}")
    document = {"chain_id": found.chain_id, "ledger": found.ledger, "evidence_log": found.evidence_log}
    result(args, found.ledger, document)
    return YES


def admin(args: argparse.Namespace) -> "LedgerAdmin":
    """Who acts with the admin key in the folder that an option names. Raises RejectedRequest where there is none."""
    from functions._backends import keys
    from functions._backends.ethereum_admin import LedgerAdmin

    if not (args.keys / "admin.ledger.key").exists():
        raise RejectedRequest(f"{args.keys} holds no admin.ledger.key: `polyglot ledger init` makes one")
    return LedgerAdmin(given(args.rpc, "POLYGLOT_RPC_URL"), keys.create_admin(args.keys))


def run_appoint(args: argparse.Namespace) -> int:
    """Grant roles."""
    from functions._backends.keys import key_digest

    acting, ledger, done = admin(args), given(args.ledger, "POLYGLOT_LEDGER"), []
    for role, account, public_key in _wanted(args):
        digest = key_digest(public_key)
        new = acting.appoint(ledger, role, account, digest)
        say(f"{account} {'is' if new else 'was already'} {role}, with statement key {digest}")
        done.append({"role": role, "account": account, "signing_key_digest": digest, "new": new})
    result(args, "\n".join(str(one["account"]) for one in done), done if args.namespace else done[0])
    return YES


def _wanted(args: argparse.Namespace) -> Sequence[tuple[str, str, str]]:
    """Whom to appoint: role, account, P-256 public key in PEM."""
    if args.namespace:
        from functions._runtime.deployer.cluster import KubernetesCluster
        from functions._runtime.deployer.role_keys import published

        cluster = KubernetesCluster.connected(args.namespace, args.context)
        found = [published(cluster, role) for role in (ROLES if args.role == ALL else (args.role,))]
        return [(one.role, one.account, one.public_key) for one in found]
    if args.role == ALL or not args.account or not args.statement_key:
        raise RejectedRequest(
            "whose keys? --namespace takes those that a namespace has published; else name one role with "
            "--account and --statement-key, as `polyglot key create` prints them"
        )
    return [(args.role, args.account, args.statement_key.read_text())]


def run_trust(args: argparse.Namespace) -> int:
    """Write the anchor: chain, contracts with the digests of their code, the history of roles, a block."""
    from functions._backends.anchor import anchor

    node, platform = given(args.rpc, "POLYGLOT_RPC_URL"), os.environ.get("POLYGLOT_RPC_URL", "")
    document = anchor(
        node,
        given(args.ledger, "POLYGLOT_LEDGER"),
        args.evidence_log or os.environ.get("POLYGLOT_EVIDENCE_LOG", ""),
        args.block,
        "platform" if node.rstrip("/") == platform.rstrip("/") else "node",
    )
    text = json.dumps(document, indent=2)
    if args.output:
        args.output.write_text(text + "\n")
        say(f"wrote {args.output}: hand it over on another way than the evidence itself")
    else:
        result(args, text, document)
    return YES
