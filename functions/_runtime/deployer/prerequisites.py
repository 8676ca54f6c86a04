"""What a tenant's namespace must hold before functions can start in it, and how to make what it lacks.

Looking first, with the functions' own validation of their settings, turns a pod that waits for a Secret or ends at its
start, minutes later, into one sentence now.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence

from functions._domain import cluster as names
from functions._runtime.deployer.cluster import Cluster
from functions._runtime.validation import key_problems, problems
from functions.declaration import Function

EXAMPLE = "knative/settings.example.yaml"


def missing(cluster: Cluster, functions: Sequence[Function]) -> list[str]:
    """What the namespace lacks or has wrong, one line each; empty where it is as it should be."""
    if cluster.get("v1", "Namespace", cluster.namespace) is None:
        return [f"namespace {cluster.namespace} is not there: --create-namespace makes it"]
    found = [*_settings(cluster, functions)]
    for role in sorted({function.role for function in functions if function.role}):
        found += _keys(cluster, role)
    return list(dict.fromkeys(found))


def _settings(cluster: Cluster, functions: Sequence[Function]) -> Iterator[str]:
    settings = cluster.get("v1", "ConfigMap", names.SETTINGS)
    opening = sorted({function.bucket_secret for function in functions})
    credentials = {name: secret(cluster, name) for name in opening}
    if settings is None:
        yield f"ConfigMap {names.SETTINGS} is not there: copy it from {EXAMPLE}"
    for name in (name for name, found in credentials.items() if found is None):
        yield f"Secret {name} with the bucket's credentials is not there: copy it from {EXAMPLE}"
    for function in functions if settings is not None else ():
        found = credentials[function.bucket_secret]
        if settings is not None and found is not None:
            values = {**(settings.get("data") or {}), **found, "POLYGLOT_KEYS": names.KEYS_FOLDER}
            yield from problems(values, function)


def _keys(cluster: Cluster, role: str) -> Iterator[str]:
    contents = secret(cluster, names.key_secret(role))
    if contents is None:
        make = f"polyglot key create {role} --secret {cluster.namespace}"
        yield f"Secret {names.key_secret(role)} is not there: `{make}` makes it"
    else:
        yield from key_problems(role, contents)


def secret(cluster: Cluster, name: str) -> Mapping[str, str] | None:
    """What a Secret holds, decoded; None where it is not there."""
    found = cluster.get("v1", "Secret", name)
    return None if found is None else {key: _decoded(value) for key, value in (found.get("data") or {}).items()}


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
