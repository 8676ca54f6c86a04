"""``docs/settings.md``: every setting as a table, so that the page and what functions look at cannot differ."""

from collections.abc import Iterable, Mapping

from functions._runtime.settings import SETTINGS, Setting
from functions.declaration import FUNCTIONS

PATH = "settings.md"

CLIENT: Mapping[str, str] = {
    "POLYGLOT_URL": "where the platform is; with `{function}` in it where each function has a host of its own",
    "POLYGLOT_TOKEN": "the bearer token",
    "POLYGLOT_INGRESS_URL": "where to connect instead, the function's host being sent as `Host`",
    "POLYGLOT_CACHE": "where receipts and unfinished uploads are kept; `~/.cache/polyglot` if not set",
    "POLYGLOT_ANVIL": "`polyglot up`: the EVM node's program, instead of the one that npm installed",
}
"""What the command line reads; ``polyglot doctor`` also reads the store's, the ledger's and the bucket's settings."""

INTERNAL = frozenset({"POLYGLOT_DISK", "POLYGLOT_SEED", "POLYGLOT_RUN", "POLYGLOT_EXECUTION"})
"""What one part of a training hands to the next; nobody sets them."""

_HEAD = """\
<!-- Generated from functions/_runtime/settings.py by `polyglot manifests`: change it there, then run it again. -->
# Settings

A function looks at all of its settings before it takes its first request. Where one is missing or wrong it does not
start, and its log (and the Service's status, `kubectl get ksvc`) names every such setting, what was found (never a
secret's value) and what is expected. `polyglot doctor --namespace N` looks at the same before anything starts.

"""

_TAIL = """\

The names of the ConfigMap and the Secrets are fixed; `knative/settings.example.yaml` has all of a tenant's to copy,
`knative/cluster/settings.example.yaml` those of `forward`. They are read when a pod starts: after a change, pods that
run keep the old values until they have gone to zero. `FUNCTION_TARGET`, which function a pod runs, and `THREADS` are
rendered.

## The command line

| setting | what it is |
|---|---|
"""


def page(settings: Iterable[Setting] = SETTINGS) -> str:
    """The page as Markdown."""
    groups: dict[str, list[Setting]] = {}
    for setting in settings:
        groups.setdefault(setting.source, []).append(setting)
    tables = "\n".join(_table(source, found) for source, found in groups.items())
    return _HEAD + tables + _TAIL + "".join(f"| `{name}` | {meaning} |\n" for name, meaning in CLIENT.items())


def _table(source: str, settings: Iterable[Setting]) -> str:
    rows = "".join(_row(setting) for setting in settings)
    return f"## From {source}\n\n| setting | what it is | expected | example | read by |\n|---|---|---|---|---|\n{rows}"


def _row(setting: Setting) -> str:
    needed = "" if setting.optional or setting.default else ", required"
    only = f"; only with `{'='.join(setting.only_with)}`" if setting.only_with else ""
    example = f"`{setting.example}`" if setting.example else ""
    return (
        f"| `{setting.name}` | {setting.meaning}{only} | {setting.form.expected}{needed} | {example} "
        f"| {_readers(setting)} |\n"
    )


def _readers(setting: Setting) -> str:
    reading = [function.name for function in FUNCTIONS if setting.used_by(function)]
    if len(reading) == len(FUNCTIONS):
        return "every function"
    tenants = [function.name for function in FUNCTIONS if function.scope == "tenant"]
    left = [name for name in tenants if name not in reading]
    if len(left) < len(reading) and set(reading) <= set(tenants):
        return "every function of a tenant" + (f" but {', '.join(left)}" if left else "")
    return ", ".join(reading)
