"""``polyglot deploy``: brings a namespace of a cluster to what the declaration renders.

It speaks to the Kubernetes API of the current kubeconfig context, with the operator's own rights.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from functions._cli import options
from functions._cli.failures import NO, YES
from functions._cli.output import result, say
from functions._domain.errors import RejectedRequest

if TYPE_CHECKING:
    from functions._runtime.deployer import Deployment

IMAGES = Path("build/images.json")
EXAMPLES = [
    "polyglot deploy --namespace acme                 the images of build/images.json, which `make images` writes",
    "polyglot deploy --namespace acme --dry-run       what would change",
    "polyglot deploy --namespace acme --image polyglot-ledger=registry.example.org/polyglot-ledger@sha256:…",
]


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = options.command(
        subparsers,
        "deploy",
        "apply the functions to a namespace of a Knative cluster, and wait for them",
        run,
        EXAMPLES,
    )
    parser.add_argument("--namespace", required=True, metavar="N", help="the tenant's namespace")
    parser.add_argument("--create-namespace", action="store_true", help="make it where it is missing")
    parser.add_argument("--context", metavar="C", help="of the kubeconfig; its current one if not given")
    parser.add_argument("--images", type=Path, default=IMAGES, metavar="FILE", help=f"default: {IMAGES}")
    parser.add_argument(
        "--image", action="append", default=[], type=options.setting, metavar="NAME=REF", help="instead of the file's"
    )
    parser.add_argument("--timeout", type=options.duration, default=300, metavar="T", help="to wait at most; 5m")
    parser.add_argument("--no-wait", action="store_true", help="do not wait until all is ready")
    parser.add_argument("--dry-run", action="store_true", help="change nothing: let the API server say what it would")


def run(args: argparse.Namespace) -> int:
    """Deploy; exit status 1 where something is not ready."""
    from functions._runtime import deployer
    from functions._runtime.deployer.cluster import KubernetesCluster

    images = {**references(args.images), **options.distinct(args.image, "image")}
    cluster = KubernetesCluster.connected(args.namespace, args.context)
    if args.create_namespace and not args.dry_run:
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": args.namespace}})
    how = deployer.Options(timeout=args.timeout, wait=not args.no_wait, dry_run=args.dry_run)
    done = deployer.deploy(cluster, images, how, say)
    for one in done.failures:
        say(f"{one.name if one.kind == 'Service' else f'{one.kind} {one.name}'} is not ready:")
        say("\n".join(f"  {line}" for line in one.reason.splitlines()))
    result(args, summary(done, args.namespace), [asdict(one) for one in done.outcomes])
    if args.json and done.url:
        say(_exports(done.url))
    return NO if done.failures else YES


def references(path: Path) -> Mapping[str, str]:
    """What ``make images`` has written; nothing where it has not."""
    if not path.is_file():
        if path != IMAGES:
            raise RejectedRequest(f"{path} is not there: `make images` writes {IMAGES}")
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        document = None
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise RejectedRequest(f"{path}: expected an object of image references by image name")
    return document


def summary(done: "Deployment", namespace: str) -> str:
    """What a person reads at the end."""
    changes = [one.change for one in done.outcomes]
    counts = [f"{changes.count(one)} {one}" for one in dict.fromkeys(changes)]
    failed = f"; {len(done.failures)} not ready" if done.failures else ""
    slowest = max((one.seconds for one in done.outcomes), default=0)
    ready = sum(one.state == "ready" for one in done.outcomes)
    waited = f"; {ready} ready after {slowest:.1f} s" if ready else ""
    line = f"{namespace}: {', '.join(counts) or 'nothing to do'}{waited}{failed}"
    return "\n".join([line, _exports(done.url)] if done.url else [line])


def _exports(url: str) -> str:
    return (
        f"export POLYGLOT_URL='{url}'\n"
        "# where these names do not resolve: export POLYGLOT_INGRESS_URL=<the address of the cluster's ingress>"
    )
