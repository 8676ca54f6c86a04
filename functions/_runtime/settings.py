"""Settings: what differs between tenants and clusters, as ``POLYGLOT_…`` variables, each listed here once.

On a cluster they come from one ConfigMap and fixed-name Secrets; the embedded platform binds its own with ``bound``.
``docs/settings.md`` is this list as a table, ``functions._runtime.validation`` looks at what a function was given.

    >>> MEANING["POLYGLOT_TENANT"]
    "the tenant's name"
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from functions._domain import cluster
from functions._runtime.forms import (
    ADDRESS,
    AUDIENCE,
    BUCKET,
    CLAIM,
    ENGINE,
    FOLDER,
    FORWARD,
    ISSUER,
    LOG_FORMAT,
    LOG_LEVEL,
    NAME,
    NUMBER,
    PREFIX,
    SECRET,
    URL,
    Form,
)
from functions.declaration import Function


def _all(_: Function) -> bool:
    return True


def _of_tenants(function: Function) -> bool:
    return function.scope == "tenant"


def _of_cluster(function: Function) -> bool:
    return function.scope == "cluster"


def _uses_ledger(function: Function) -> bool:
    return _of_tenants(function) and function.extra is not None


def _announces(function: Function) -> bool:
    return _of_tenants(function) and bool(function.produces)


def _signs(function: Function) -> bool:
    return function.role is not None


def _has_routes(function: Function) -> bool:
    return bool(function.routes)


def _runs_trainings(function: Function) -> bool:
    return bool(function.engine)


def _measures(function: Function) -> bool:
    return bool(function.variants)


CONFIG_MAP = f"ConfigMap {cluster.SETTINGS}"
S3_SECRET = f"Secret {cluster.S3_SECRET}"
KEY_SECRET = f"Secret {cluster.key_secret('<role>')}, as files"
FORWARD_MAP = f"ConfigMap {cluster.FORWARD_SETTINGS}"
EMBEDDED = "the embedded platform"


@dataclass(frozen=True)
class Setting:
    """One setting of functions.

    Attributes:
        source: where its value comes from.
        used_by: whether a function reads it; others are started without.
        example: as a ConfigMap would have it.
        default: what holds where it is not set.
        optional: whether it may be missing without a default.
        only_with: another setting and its value, without which this one means nothing.
        beside: another setting; both are set, or neither.
    """

    name: str
    meaning: str
    form: Form
    source: str
    used_by: Callable[[Function], bool]
    example: str = ""
    default: str = ""
    optional: bool = False
    only_with: tuple[str, str] | None = None
    beside: str = ""


SETTINGS: tuple[Setting, ...] = (
    Setting("POLYGLOT_TENANT", "the tenant's name", NAME, CONFIG_MAP, _of_tenants, "acme"),
    Setting("POLYGLOT_BUCKET", "the tenant's bucket", BUCKET, CONFIG_MAP, _of_tenants, "acme-models"),
    Setting(
        "POLYGLOT_S3_URL", "the object store's address; AWS where it is not set", URL, CONFIG_MAP, _of_tenants,
        "http://s3.storage.svc.cluster.local", optional=True,
    ),
    Setting(
        "POLYGLOT_S3_PUBLIC_URL", "its address for clients, where that is another one", URL, CONFIG_MAP, _of_tenants,
        "https://s3.example.org", optional=True,
    ),
    Setting(
        "AWS_REGION", "the bucket's region; us-east-1 where it is not set", NAME, CONFIG_MAP, _of_tenants, "us-east-1",
        default="us-east-1",
    ),
    Setting(
        "AWS_ACCESS_KEY_ID",
        f"who opens the tenant's bucket, and no other; `erase` has its own, of Secret `{cluster.S3_ERASE_SECRET}`",
        SECRET, S3_SECRET, _of_tenants, optional=True, beside="AWS_SECRET_ACCESS_KEY",
    ),
    Setting(
        "AWS_SECRET_ACCESS_KEY", "its secret; without both, botocore looks where it usually does", SECRET, S3_SECRET,
        _of_tenants, optional=True, beside="AWS_ACCESS_KEY_ID",
    ),
    Setting(
        "POLYGLOT_RPC_URL", "the EVM node's JSON-RPC address", URL, CONFIG_MAP, _uses_ledger,
        "http://evm.ledger.svc.cluster.local:8545",
    ),
    Setting("POLYGLOT_CHAIN_ID", "the chain's number", NUMBER, CONFIG_MAP, _uses_ledger, "1337"),
    Setting(
        "POLYGLOT_LEDGER", "the address of the tenant's AssetLedger (polyglot ledger init prints it)", ADDRESS,
        CONFIG_MAP, _uses_ledger, f"0x{'0' * 40}",
    ),
    Setting(
        "POLYGLOT_EVIDENCE_LOG", "the address of the tenant's EvidenceLog", ADDRESS, CONFIG_MAP, _uses_ledger,
        f"0x{'0' * 40}",
    ),
    Setting(
        "POLYGLOT_BROKER_URL", "where events are announced", URL, CONFIG_MAP, _announces,
        "http://broker-ingress.knative-eventing.svc.cluster.local/acme/polyglot",
    ),
    Setting(
        "POLYGLOT_ENGINE", "what trains: process or argo", ENGINE, CONFIG_MAP, _runs_trainings, "argo",
        default="process",
    ),
    Setting(
        "POLYGLOT_TRAINING_DISK", "the most bytes that one training may write; 10 GiB if not set", NUMBER, CONFIG_MAP,
        _runs_trainings, str(10 << 30), default=str(10 << 30),
    ),
    Setting(
        "POLYGLOT_TRANSLATOR_MEMORY", "the most memory of one translation or its measuring, in bytes, at least 1 GiB "
        "less than its Service has; 4 GiB if not set", NUMBER, CONFIG_MAP, _measures, str(4 << 30),
        default=str(4 << 30),
    ),
    Setting(
        "POLYGLOT_LOG_FORMAT", "how a function's log is written", LOG_FORMAT, CONFIG_MAP, _all, "json", default="text",
    ),
    Setting(
        "POLYGLOT_LOG_LEVEL", "from which level on", LOG_LEVEL, CONFIG_MAP, _all, "INFO", optional=True,
    ),
    Setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT", "an OpenTelemetry collector (OTLP over HTTP) for traces and metrics; none if "
        "not set", URL, CONFIG_MAP, _all, optional=True,
    ),
    Setting(
        "POLYGLOT_OIDC_ISSUER", "the OpenID Connect issuer whose tokens (JWTs) are taken beside API tokens; none if "
        "not set", ISSUER, CONFIG_MAP, _has_routes, optional=True, beside="POLYGLOT_OIDC_AUDIENCE",
    ),
    Setting(
        "POLYGLOT_OIDC_AUDIENCE", "what must be among the audiences (`aud`) of its tokens; another one for each tenant",
        AUDIENCE, CONFIG_MAP, _has_routes, optional=True, beside="POLYGLOT_OIDC_ISSUER",
    ),
    Setting(
        "POLYGLOT_OIDC_SUBJECT_CLAIM", "the claim that says who somebody is, for ever the same; `sub` if not set",
        CLAIM, CONFIG_MAP, _has_routes, default="sub",
    ),
    Setting(
        "POLYGLOT_OIDC_ROLES_CLAIM", "the claim with their roles, a list or one text with blanks; `roles` if not set",
        CLAIM, CONFIG_MAP, _has_routes, default="roles",
    ),
    Setting(
        "POLYGLOT_OIDC_ROLE_PREFIX", "what stands before reader, publisher and operator there; nothing if not set",
        PREFIX, CONFIG_MAP, _has_routes, optional=True,
    ),
    Setting("POLYGLOT_KEYS", "the folder with the function's role keys", FOLDER, KEY_SECRET, _signs),
    Setting(
        "POLYGLOT_FORWARD", "whose uploads are told to whom: bucket=tenant@broker-url, by line or comma", FORWARD,
        FORWARD_MAP, _of_cluster,
        "acme-models=acme@http://broker-ingress.knative-eventing.svc.cluster.local/acme/polyglot",
    ),
    Setting(
        "POLYGLOT_DATA", "the embedded platform's folder", FOLDER, EMBEDDED, _runs_trainings,
        only_with=("POLYGLOT_ENGINE", "process"),
    ),
    Setting(
        "POLYGLOT_PLATFORM_PID", "the embedded platform's process, which trainings do not outlive", NUMBER, EMBEDDED,
        _runs_trainings, optional=True, only_with=("POLYGLOT_ENGINE", "process"),
    ),
)  # fmt: skip


def source_of(setting: Setting, function: Function) -> str:
    """Where a function's own value of a setting comes from."""
    return f"Secret {function.bucket_secret}" if setting.source == S3_SECRET else setting.source


MEANING: Mapping[str, str] = {one.name: one.meaning for one in SETTINGS}

CLUSTER: Mapping[str, str] = {one.name: one.example for one in SETTINGS if one.source == CONFIG_MAP and one.example}
"""What a tenant's ConfigMap holds, with an example of each; the others are of the embedded platform or of one pod."""

_BOUND: ContextVar[Mapping[str, str] | None] = ContextVar("settings", default=None)


class MissingSetting(RuntimeError):
    """A setting that is needed is not there; the message names it and says what it is."""


def current() -> Mapping[str, str]:
    """The settings bound now, else the environment's."""
    bound_now = _BOUND.get()
    return os.environ if bound_now is None else bound_now


@contextmanager
def bound(values: Mapping[str, str]) -> Iterator[None]:
    """Functions that are loaded inside use these settings."""
    token = _BOUND.set(values)
    try:
        yield
    finally:
        _BOUND.reset(token)


def required(values: Mapping[str, str], name: str) -> str:
    """A setting's value. Raises MissingSetting."""
    value = values.get(name, "")
    if not value:
        raise MissingSetting(f"{name} is not set: {MEANING[name]}")
    return value
