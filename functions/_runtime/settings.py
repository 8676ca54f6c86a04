"""Settings: what differs between tenants and clusters, as ``POLYGLOT_…`` variables, named where one is missing.

On a cluster they come from one ConfigMap and fixed-name Secrets; the embedded platform binds its own with ``bound``.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

MEANING: Mapping[str, str] = {
    "POLYGLOT_TENANT": "the tenant's name",
    "POLYGLOT_S3_URL": "the object store's address; AWS where it is not set",
    "POLYGLOT_S3_PUBLIC_URL": "its address for clients, where that is another one",
    "POLYGLOT_BUCKET": "the tenant's bucket",
    "AWS_REGION": "the bucket's region; us-east-1 where it is not set",
    "POLYGLOT_RPC_URL": "the EVM node's JSON-RPC address",
    "POLYGLOT_CHAIN_ID": "the chain's number",
    "POLYGLOT_LEDGER": "the address of the tenant's AssetLedger (polyglot ledger init prints it)",
    "POLYGLOT_EVIDENCE_LOG": "the address of the tenant's EvidenceLog",
    "POLYGLOT_BROKER_URL": "where events are announced",
    "POLYGLOT_KEYS": "the folder with the function's role keys",
    "POLYGLOT_ENGINE": "what trains: process or argo",
    "POLYGLOT_TRAINING_DISK": "the most bytes that one training of the embedded platform may write; 10 GiB if not set",
    "POLYGLOT_DATA": "the embedded platform's folder",
    "POLYGLOT_PLATFORM_PID": "the embedded platform's process, which trainings do not outlive",
}

CLUSTER: Mapping[str, str] = {
    "POLYGLOT_TENANT": "acme",
    "POLYGLOT_BUCKET": "acme-models",
    "POLYGLOT_S3_URL": "http://s3.storage.svc.cluster.local",
    "POLYGLOT_S3_PUBLIC_URL": "https://s3.example.org",
    "AWS_REGION": "us-east-1",
    "POLYGLOT_RPC_URL": "http://evm.ledger.svc.cluster.local:8545",
    "POLYGLOT_CHAIN_ID": "1337",
    "POLYGLOT_LEDGER": "0x0000000000000000000000000000000000000000",
    "POLYGLOT_EVIDENCE_LOG": "0x0000000000000000000000000000000000000000",
    "POLYGLOT_BROKER_URL": "http://broker-ingress.knative-eventing.svc.cluster.local/acme/polyglot",
    "POLYGLOT_ENGINE": "argo",
}
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
