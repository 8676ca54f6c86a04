"""``polyglot build-images``: builds the functions' images from a checkout; ``make images`` calls it."""

import argparse
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING

from functions._cli import options
from functions._cli.failures import YES
from functions._cli.output import amount, result, say

if TYPE_CHECKING:
    from functions._runtime.manifests.building import Built

EXAMPLES = [
    "polyglot build-images",
    "polyglot build-images --registry registry.example.org/team/ --tag 0.1.0 --push",
    "polyglot build-images --only ledger --base registry.example.org/python:3.11 -- --build-arg PIP_INDEX_URL=https://…",
]


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = options.command(subparsers, "build-images", "build the functions' container images", run, EXAMPLES)
    parser.add_argument("--tool", default="", help="buildah, podman or docker; the first of them that is there")
    parser.add_argument("--registry", default="", metavar="R/", help="before the images' names, with its last slash")
    parser.add_argument("--tag", default="", help="default: this version's number")
    parser.add_argument("--base", default="", help="the image to build upon: Python 3.11 or later, with pip")
    parser.add_argument("--only", default="", metavar="IMAGES", help="some of them, by comma: ledger,argo")
    parser.add_argument("--push", action="store_true", help="push them, and note their digests")
    parser.add_argument("options", nargs="*", metavar="-- OPTION", help="passed to the tool as they are")


def run(args: argparse.Namespace) -> int:
    """Build; writes ``build/images.json``."""
    from functions._runtime.manifests import building, images

    names = building.Names(args.registry, args.tag or version("polyglot-model-sharing"))
    builder = building.Builder(building.found_tool(args.tool), names, args.base, args.options)
    built = []
    for image in builder.images([one for one in args.only.split(",") if one]):
        say(f"{builder.tool}: {names.of(image)} …")
        one = builder.build(image, args.push, building.shown)
        built.append(one)
        building.write({images.PREFIX + image: one.reference})
    result(args, "\n".join(map(line, built)), [asdict(one) for one in built])
    say(f"wrote {building.WRITTEN}, which `polyglot deploy` reads")
    return YES


def line(one: "Built") -> str:
    """An image in one line: how it is referred to, and how large it is."""
    over = "" if one.over_base is None else f", {amount(one.over_base)} over its base"
    return f"{one.reference}  {amount(one.size)}{over}"
