"""``polyglot doctor``: is this platform as it should be, and what to do where it is not.

Without a namespace it looks at the platform that the shell's settings name, the embedded one for example. With one it
looks at a tenant's deployment on Kubernetes.

    checks      one thing looked at, and how looks become one list
    functions   over HTTP, as any client meets them
    store       the bucket, and what guards an asset's files
    ledger      contracts, roles, and the keys that act in them
    view        the Kubernetes API, as the others see it
    given       what a namespace gives its functions: settings, credentials, keys
    issuer      whose tokens are taken beside API tokens
    deployment  Services, Broker, Triggers, the timer
    rights      Argo Workflows, and who may do what with it
    variants    what variants, those for GPU nodes too, need of the cluster
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain

from functions._cli import options
from functions._cli.doctor.checks import Check, guarded
from functions._cli.failures import NO, YES
from functions._cli.output import result

EXAMPLES = [
    ". polyglot-data/env; polyglot doctor",
    "polyglot doctor --namespace acme            a deployment; in a pod, its own namespace if not given",
]
LOCAL = {"AWS_ACCESS_KEY_ID": "polyglot", "AWS_SECRET_ACCESS_KEY": "polyglot"}
"""The embedded store checks no signature."""


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = options.command(subparsers, "doctor", "check that a platform is as it should be", doctor, EXAMPLES)
    parser.add_argument("--namespace", metavar="N", help="a tenant's namespace on a cluster")
    parser.add_argument("--context", metavar="C", help="of the kubeconfig; its current one if not given")


def doctor(args: argparse.Namespace) -> int:
    """Look at every part; exit status 1 where one is not as it should be."""
    namespace = args.namespace or _own_namespace()
    found = list(_of_cluster(args, namespace) if namespace else _of_shell(args))
    result(args, "\n".join(str(one) for one in found), [asdict(one) for one in found])
    return YES if all(one.ok for one in found) else NO


def _own_namespace() -> str:
    """The namespace of the pod that this runs in, if it does."""
    from functions._cli.doctor.view import OWN_NAMESPACE

    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and OWN_NAMESPACE.is_file()
    return OWN_NAMESPACE.read_text().strip() if in_pod else ""


def _of_shell(args: argparse.Namespace) -> Iterator[Check]:
    from functions._cli.doctor import functions, issuer, ledger, store

    values = {**LOCAL, **os.environ}
    mend = "start it, or mend {}"
    return chain(
        guarded("functions", lambda: functions.looks(args), mend.format("POLYGLOT_URL and POLYGLOT_TOKEN")),
        guarded("storage", lambda: store.looks(values), mend.format("POLYGLOT_S3_URL, POLYGLOT_BUCKET and AWS_…")),
        guarded("ledger", lambda: ledger.looks(values), mend.format("POLYGLOT_RPC_URL and POLYGLOT_LEDGER")),
        guarded("issuer", lambda: issuer.looks(values), mend.format("POLYGLOT_OIDC_ISSUER")),
    )


def _of_cluster(args: argparse.Namespace, namespace: str) -> Iterator[Check]:
    from functions._cli.doctor import cluster
    from functions._cli.doctor.view import KubernetesView

    return cluster.looks(args, KubernetesView.connected(namespace, args.context), os.environ)
