"""`polyglot up`, `ledger init` and `doctor`: the commands that do more than speak HTTP."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

UP_EXAMPLES = """\
examples:
  polyglot up                       state stays in ./polyglot-data; Ctrl-C stops it
  . polyglot-data/env               in another terminal: where it is, and the token
  polyglot up --data /tmp/p --port 0 --processes
"""


def add(subparsers: Any) -> None:
    """Add the commands."""
    up = subparsers.add_parser(
        "up",
        help="run the whole platform on this machine, until Ctrl-C",
        description="Runs the whole platform on this machine with embedded parts: an EVM node, an S3 server on a "
        "folder, a broker, the trainer, and every function.",
        epilog=UP_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    up.add_argument("--data", type=Path, default=Path("polyglot-data"), metavar="DIR", help="where state stays")
    up.add_argument("--port", type=int, default=8080, metavar="N", help="8080, or a free one if taken")
    up.add_argument("--processes", action="store_true", help="each function as a process of its own, as on a cluster")
    up.set_defaults(run=run_up)
    ledger = subparsers.add_parser("ledger", help="the tenant's ledger contracts").add_subparsers(required=True)
    init = ledger.add_parser(
        "init",
        help="deploy what is missing of the platform's contracts; prints the ledger's address",
        epilog="example:\n  polyglot ledger init --rpc http://127.0.0.1:8545 --keys ./admin-keys",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    init.add_argument("--rpc", required=True, metavar="URL", help="the EVM node's JSON-RPC address")
    init.add_argument("--keys", required=True, type=Path, metavar="DIR", help="holds the admin key; made if missing")
    init.add_argument("--json", action="store_true", help="print JSON")
    init.set_defaults(run=run_ledger_init)


def run_up(arguments: argparse.Namespace) -> int:
    """Run the embedded platform until it is told to stop."""
    from functions._runtime.embedded import EmbeddedHooks
    from functions._runtime.local.platform import Platform

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    platform = Platform(arguments.data, EmbeddedHooks(arguments.data, arguments.processes), arguments.port, say)

    def ready() -> None:
        say(f"Ready at {platform.addresses.url}; Ctrl-C stops it. In another terminal:")
        say(f"  . {shlex.quote(str(arguments.data / 'env'))}")
        say("  polyglot dataset register DIR --wait")

    say(f"Starting in {arguments.data} …")
    return platform.run(ready)


def run_ledger_init(arguments: argparse.Namespace) -> int:
    """Deploy what is missing of the contracts."""
    import json

    from functions._backends import keys
    from functions._backends.ethereum_admin import LedgerAdmin

    found = LedgerAdmin(arguments.rpc, keys.create_admin(arguments.keys)).initialize()
    if arguments.json:
        print(json.dumps({"chain_id": found.chain_id, "ledger": found.ledger, "evidence_log": found.evidence_log}))
    else:
        print(f"evidence log {found.evidence_log} on chain {found.chain_id}", file=sys.stderr)
        print(found.ledger)
    return 0
