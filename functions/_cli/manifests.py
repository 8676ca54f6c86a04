"""``polyglot manifests``: writes what `knative/` and `docs/settings.md` say, or says where they differ."""

import argparse
from pathlib import Path

from functions._cli import options
from functions._cli.failures import NO, YES
from functions._cli.output import result, say

EXAMPLES = [
    "polyglot manifests                      writes knative/ and docs/settings.md",
    "polyglot manifests --check              exits 1 and shows the difference where it is not up to date",
]


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = options.command(
        subparsers, "manifests", "render the Knative manifests and image files from the declaration", run, EXAMPLES
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file differs")
    parser.add_argument("--into", type=Path, default=Path("knative"), metavar="DIR", help="default: knative")
    parser.add_argument("--docs", type=Path, default=Path("docs"), metavar="DIR", help="default: docs")


def run(args: argparse.Namespace) -> int:
    """Write or compare."""
    from functions._runtime import manifests
    from functions._runtime.manifests import files, settings_page

    wanted = {args.into: manifests.texts(), args.docs: {settings_page.PATH: settings_page.page()}}
    if args.check:
        differing = {
            path: text for folder, texts in wanted.items() for path, text in files.differences(folder, texts).items()
        }
        return _checked(args, differing, sum(len(texts) for texts in wanted.values()))
    changed = [(folder, path) for folder, texts in wanted.items() for path in files.write(folder, texts)]
    lines = [str(folder / path) for folder, path in changed]
    result(args, "\n".join(lines) or f"{args.into} is up to date", {"changed": [path for _, path in changed]})
    return YES


def _checked(args: argparse.Namespace, differing: dict[str, str], total: int) -> int:
    text = "".join(differing.values()).rstrip("\n") or f"{args.into} is up to date: {total} files"
    result(args, text, {"differing": sorted(differing)})
    if not differing:
        return YES
    say(f"polyglot: {len(differing)} of {total} files in {args.into} are not what the declaration says: "
        "run `polyglot manifests`")  # fmt: skip
    return NO
