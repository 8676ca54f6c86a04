"""``polyglot manifests``: writes what `knative/` holds, from the declaration alone, or says where it differs."""

import argparse
from pathlib import Path

from functions._cli import options
from functions._cli.failures import NO, YES
from functions._cli.output import result, say

EXAMPLES = [
    "polyglot manifests                      writes knative/",
    "polyglot manifests --check              exits 1 and shows the difference where it is not up to date",
]


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = options.command(
        subparsers, "manifests", "render the Knative manifests and image files from the declaration", run, EXAMPLES
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file differs")
    parser.add_argument("--into", type=Path, default=Path("knative"), metavar="DIR", help="default: knative")


def run(args: argparse.Namespace) -> int:
    """Write or compare."""
    from functions._runtime import manifests
    from functions._runtime.manifests import files

    texts = manifests.texts()
    if args.check:
        return _checked(args, files.differences(args.into, texts), len(texts))
    changed = files.write(args.into, texts)
    lines = [str(args.into / path) for path in changed]
    result(args, "\n".join(lines) or f"{args.into} is up to date", {"changed": changed})
    return YES


def _checked(args: argparse.Namespace, differing: dict[str, str], total: int) -> int:
    text = "".join(differing.values()).rstrip("\n") or f"{args.into} is up to date: {total} files"
    result(args, text, {"differing": sorted(differing)})
    if not differing:
        return YES
    say(f"polyglot: {len(differing)} of {total} files in {args.into} are not what the declaration says: "
        "run `polyglot manifests`")  # fmt: skip
    return NO
