"""A tenant's deployment on Kubernetes, looked at from where the operator is."""

import argparse
from collections.abc import Iterator, Mapping

from functions._cli.doctor import deployment, functions, given, issuer, ledger, rights, store, variants
from functions._cli.doctor.checks import Check, clock, guarded, unknown, wrong
from functions._cli.doctor.view import View
from functions._domain import cluster as names
from functions._domain.errors import RejectedForbidden
from functions._runtime.manifests.files import Manifest

ADDRESSES = ("POLYGLOT_S3_URL", "POLYGLOT_RPC_URL")
"""What may have another address here than in the cluster; the shell's setting then counts."""


def looks(args: argparse.Namespace, view: View, shell: Mapping[str, str]) -> Iterator[Check]:
    """Look at everything.

    Args:
        args: how to reach the functions.
        view: the tenant's namespace.
        shell: this machine's own settings.
    """
    if _seen(view, "v1", "Namespace", view.namespace) is None:
        yield wrong("namespace", f"{view.namespace} is not there", "kubectl create namespace, then docs/operations.md")
        return
    found = given.given(view)
    yield from inside(view, found)
    yield from _outside({**found.values, **{name: shell[name] for name in ADDRESSES if shell.get(name)}}, found)
    yield from _functions(args, shell)


def inside(view: View, found: given.Given) -> Iterator[Check]:
    """What Kubernetes itself tells."""
    kubernetes = "ask whoever runs the cluster"
    broker = deployment.address(_seen(view, "eventing.knative.dev/v1", "Broker", names.BROKER))
    yield from guarded("settings", lambda: given.looks(found, broker), kubernetes)
    yield from guarded("deployment", lambda: deployment.looks(view), kubernetes)
    yield from guarded("rights", lambda: rights.looks(view), kubernetes)
    yield from guarded("variants", lambda: variants.looks(view), kubernetes)
    yield from guarded("clock of the cluster", lambda: [clock("clock of the cluster", view.ahead())], kubernetes)


def _seen(view: View, api: str, kind: str, name: str) -> Manifest | None:
    """An object, empty where one may not look at it: who may see a namespace's objects need not see the namespace."""
    try:
        return view.get(api, kind, name)
    except RejectedForbidden:
        return {}


def _outside(values: Mapping[str, str], found: given.Given) -> Iterator[Check]:
    """Store, ledger and issuer; that they do not answer from here need not mean that they do not answer functions."""
    if not values.get("POLYGLOT_BUCKET") or not values.get("POLYGLOT_LEDGER"):
        return
    here = "where it has another address here, set {} in this shell"
    if isinstance(found.credentials, given.Hidden):
        yield unknown("storage", "not allowed to look at the bucket's credentials", "run it as somebody who may")
    else:
        yield from guarded("storage", lambda: store.looks(values), here.format("POLYGLOT_S3_URL"), is_near=False)
    remedy = here.format("POLYGLOT_RPC_URL")
    yield from guarded("ledger", lambda: ledger.looks(values, found.public), remedy, is_near=False)
    remedy = "nobody gets in with its tokens unless functions reach it: mend POLYGLOT_OIDC_ISSUER, or the way there"
    yield from guarded("issuer", lambda: issuer.looks(values), remedy, is_near=False)


def _functions(args: argparse.Namespace, shell: Mapping[str, str]) -> Iterator[Check]:
    if not (args.url or shell.get("POLYGLOT_URL")):
        yield unknown("functions over HTTP", "POLYGLOT_URL is not set", "set it and POLYGLOT_TOKEN to ask them too")
        return
    yield from guarded("functions over HTTP", lambda: functions.looks(args), "is POLYGLOT_URL this platform's?")
