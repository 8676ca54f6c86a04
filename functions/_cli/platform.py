"""`polyglot up`: the whole platform on this machine."""

import argparse
import shlex
from pathlib import Path

from functions._cli import options
from functions._cli.output import say

EXAMPLES = [
    "polyglot up                          state stays in ./polyglot-data; Ctrl-C stops it",
    ". polyglot-data/env                  in another terminal: where it is, and the token",
    "polyglot up --data /srv/polyglot --port 0 --processes",
]


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = options.command(
        subparsers, "up", "run the whole platform on this machine with embedded parts, until Ctrl-C", up, EXAMPLES
    )
    parser.add_argument("--data", type=Path, default=Path("polyglot-data"), metavar="DIR", help="where state stays")
    parser.add_argument("--port", type=int, default=8080, metavar="N", help="8080, or a free one if taken")
    parser.add_argument("--processes", action="store_true", help="each function as its own process, as on a cluster")


def up(args: argparse.Namespace) -> int:
    """Run the embedded platform until it is told to stop."""
    from functions._runtime.embedded import EmbeddedHooks
    from functions._runtime.local.platform import Platform

    platform = Platform(args.data, EmbeddedHooks(args.data, args.processes), args.port, say)

    def ready() -> None:
        say(f"Ready at {platform.addresses.url}; Ctrl-C stops it. In another terminal:")
        say(f"  . {shlex.quote(str(args.data / 'env'))}")
        say("  polyglot dataset register DIR --wait")

    say(f"Starting in {args.data} …")
    return platform.run(ready)
