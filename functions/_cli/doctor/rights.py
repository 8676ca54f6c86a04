"""Argo Workflows: whether it is there, in a version that fits, and who may do what with it."""

from collections.abc import Iterator, Sequence

from functions._cli.doctor.checks import Check, fine, listed, unknown, wrong
from functions._cli.doctor.view import View
from functions._domain import cluster as names
from functions._domain.errors import RejectedForbidden
from functions._runtime.manifests import access
from functions.declaration import FUNCTIONS, Function

GROUP, VERSION = "argoproj.io", "argoproj.io/v1alpha1"
FITTING = "3.7"
"""The version that runs are built for (by Hera 6)."""

BEYOND = (("", "secrets", "get"), ("", "pods/exec", "create"))
"""What no account of ours may: it would be the way to the keys."""


def looks(view: View, functions: Sequence[Function] = FUNCTIONS) -> Iterator[Check]:
    """Look at Argo, then at every account's rights."""
    kinds = view.kinds(VERSION)
    if not {"workflows", "workflowtaskresults"} <= kinds:
        yield wrong("Argo Workflows", "the cluster does not know Workflows", f"install Argo Workflows {FITTING}")
    else:
        yield _controller(view)
    yield _rights(view, [function for function in functions if function.scope == "tenant"])


def _controller(view: View) -> Check:
    name = "Argo Workflows"
    try:
        there = view.everywhere("apps/v1", "Deployment", "app=workflow-controller")
    except RejectedForbidden:
        return unknown(name, "its kinds are there; not allowed to look for its controller")
    if not there:
        there = [
            one for one in view.everywhere("apps/v1", "Deployment") if one["metadata"]["name"] == "workflow-controller"
        ]
    if not there:
        return wrong(name, "its kinds are there, its controller is not", "nothing would run: install the controller")
    status, spec = there[0].get("status") or {}, there[0]["spec"]["template"]["spec"]
    image = str(spec["containers"][0]["image"])
    if not status.get("availableReplicas"):
        return wrong(name, f"the controller ({image}) is not available", "look at its pods: no training would start")
    version = image.partition("@")[0].rpartition(":")[2].removeprefix("v")
    if version.startswith(f"{FITTING}."):
        return fine(name, f"{version}, available")
    remedy = f"tried with {FITTING}; if trainings are refused, install that"
    return unknown(name, f"available, version {version or 'unknown'}", remedy)


def _rights(view: View, functions: Sequence[Function]) -> Check:
    """Compare what each account may with what the declaration lets it."""
    granted = access.granted(functions)
    accounts = [*(function.name for function in functions), names.RUN_ACCOUNT, names.RUN_EXECUTOR, names.KEYS_ACCOUNT]
    asked = sorted({right for rights in granted.values() for right in rights} | set(BEYOND))
    less: list[str] = []
    more: list[str] = []
    for account in accounts:
        for group, resource, verb in asked:
            wanted = (group, resource, verb) in granted.get(account, ())
            if view.may(account, verb, group, resource) != wanted:
                (less if wanted else more).append(f"{account} {verb} {resource}")
    if less:
        return wrong("rights", f"missing: {listed(less)}", f"polyglot deploy --namespace {view.namespace}")
    if more:
        return wrong("rights", f"too many: {listed(more)}", "find the RoleBinding or ClusterRoleBinding that gives it")
    return fine("rights", f"{len(accounts)} accounts may what they need, and no more")
