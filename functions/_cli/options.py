"""Options that commands share, and the words in which a user writes sizes, durations and assets.

    >>> size("2G"), duration("30m"), channel("train=6f0a3c52-5f0b-4b0e-9d8e-0f7a1c2b3d4e")[0]
    (2147483648, 1800, 'train')

``command`` is how every group adds its commands: ``parser.set_defaults(run=…)`` takes the parsed arguments and returns
the exit status.
"""

import argparse
import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from functions._domain.errors import RejectedRequest, Unavailable

if TYPE_CHECKING:
    from functions._cli.client import Client

Subparsers = argparse._SubParsersAction  # argparse has no public name for it
Run = Callable[[argparse.Namespace], int]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B?)", re.IGNORECASE)
_DURATION = re.compile(r"(\d+)([smhd]?)")


def command(
    subparsers: "Subparsers[argparse.ArgumentParser]", name: str, summary: str, run: Run, examples: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """Add a command with the options that every command has; returns its parser for its own arguments."""
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog="\n  ".join(["examples:", *examples]) if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    shared = parser.add_argument_group("platform")
    shared.add_argument("--url", help="where the platform is (default: POLYGLOT_URL)")
    shared.add_argument("--token", help="the bearer token (default: POLYGLOT_TOKEN)")
    shared.add_argument("--json", action="store_true", help="write the result as JSON")
    parser.set_defaults(run=run)
    return parser


def group(
    subparsers: "Subparsers[argparse.ArgumentParser]", name: str, summary: str
) -> "Subparsers[argparse.ArgumentParser]":
    """Add a word that is followed by a command, as in ``dataset register``."""
    parser = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    return parser.add_subparsers(metavar="COMMAND", required=True)


def connect(args: argparse.Namespace) -> "Client":
    """The client that a command's options and the environment describe.

    Raises:
        Unavailable: no address is known.
    """
    from functions._cli.client import Client, Place

    url = args.url or os.environ.get("POLYGLOT_URL", "")
    if not url:
        raise Unavailable(
            "no platform to talk to: POLYGLOT_URL is not set and --url was not given; "
            "start one with `polyglot up`, then `. polyglot-data/env`"
        )
    if not url.startswith(("http://", "https://")):
        raise RejectedRequest(f"{url!r} is not a platform's address: expected http://… or https://…")
    token = args.token or os.environ.get("POLYGLOT_TOKEN", "")
    return Client(Place(url.rstrip("/"), os.environ.get("POLYGLOT_INGRESS_URL", "").rstrip("/")), token)


def asset(text: str) -> str:
    """An asset's UUID in its canonical form."""
    try:
        return str(UUID(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a UUID") from None


def size(text: str) -> int:
    """A size in bytes: ``2G``, ``512M``, ``1.5GiB``, ``1048576``; units are powers of 1,024."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size: write 512M, 2G or a number of bytes")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


def duration(text: str) -> int:
    """A duration in seconds: ``30m``, ``2h``, ``1d``, ``3600``."""
    match = _DURATION.fullmatch(text.strip().lower())
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: write 90s, 30m, 2h, 1d or a number of seconds")
    return int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def channel(text: str) -> tuple[str, str]:
    """A dataset and the channel it comes by: ``[CHANNEL=]UUID``, ``train`` unless named."""
    name, equals, uuid = text.rpartition("=")
    if equals and not name:
        raise argparse.ArgumentTypeError(f"{text!r}: expected [CHANNEL=]UUID")
    return name or "train", asset(uuid)


def setting(text: str) -> tuple[str, str]:
    """A hyper-parameter: ``NAME=VALUE``."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=VALUE")
    return name, value


def distinct(pairs: Sequence[tuple[str, str]], what: str) -> dict[str, str]:
    """Pairs as a mapping. Raises RejectedRequest where a name comes twice."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise RejectedRequest(f"the {what} {name!r} is given twice: {found[name]} and {value}")
        found[name] = value
    return found
