"""What a tenant adds to the manifests, as an example to copy: the ConfigMap, the Secrets, addresses outside.

None of it carries the label of what we render, by which a deployment removes what is gone.
"""

from collections.abc import Mapping, Sequence

from functions._domain import cluster
from functions._runtime.forms import PLACEHOLDER
from functions._runtime.manifests.access import policy
from functions._runtime.manifests.files import HEADER, Manifest, yaml_text
from functions._runtime.settings import CLUSTER, FORWARD_MAP, MEANING, SETTINGS
from functions.declaration import Function

REPLACE = PLACEHOLDER


def outside(cidrs: Sequence[str], ports: Sequence[int] = ()) -> Manifest:
    """A policy that lets a run's pods reach addresses outside the cluster's pods.

    The Kubernetes API server is one (Argo's executor reports to it), an object store may be another.
    """
    egress: Manifest = {"to": [{"ipBlock": {"cidr": cidr}} for cidr in cidrs]}
    if ports:
        egress["ports"] = [{"protocol": "TCP", "port": port} for port in ports]
    return policy("run-outside", [cluster.RUN_TRAINS, cluster.RUN_ANNOUNCES], [egress], {})


def example(functions: Sequence[Function]) -> str:
    """The example as a commented YAML file; none of its values can be used as they are."""
    roles = sorted({function.role for function in functions if function.role})
    opening = sorted({function.bucket_secret for function in functions if function.scope == "tenant"})
    secrets = [_secret(name, cluster.S3_SECRET_KEYS) for name in opening]
    secrets += [_secret(cluster.key_secret(role), cluster.key_files(role)) for role in roles]
    parts = [
        "# Everything that is a tenant's own. Keep the names; put your values in, and keep Secrets out of git.\n"
        + _config_map(cluster.SETTINGS, CLUSTER),
        "# Credentials of the tenant's bucket, and those of `erase`, which alone may delete below assets/ where the\n"
        "# bucket's policy says so; then each role's two keys, mounted only into the function that signs with them:\n"
        "# 64 hexadecimal digits, and a P-256 key in PKCS#8 PEM.\n" + "---\n".join(_body(secret) for secret in secrets),
        "# Where network policies are enforced: the address of the Kubernetes API server, from\n"
        "# `kubectl get endpoints kubernetes --namespace default`, and of an object store outside the cluster;\n"
        f'# one inside is reached by labelling its namespace {cluster.STORAGE_LABEL}="true".\n'
        + _body(outside(["192.0.2.1/32"], [443, 6443])),
    ]
    return "---\n".join(parts)


def forward_example() -> str:
    """The ConfigMap of ``forward``, to copy."""
    values = {one.name: one.example for one in SETTINGS if one.source == FORWARD_MAP}
    return "# Which bucket's uploads are told to which tenant's Broker.\n" + _config_map(
        cluster.FORWARD_SETTINGS, values
    )


def _config_map(name: str, values: Mapping[str, str]) -> str:
    head = _body({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
    lines = [f"  # {MEANING[key]}\n" + _body({key: value}, "  ") for key, value in values.items()]
    return f"{head}data:\n{''.join(lines)}"


def _secret(name: str, keys: Sequence[str]) -> Manifest:
    values = dict.fromkeys(keys, REPLACE)
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def _body(manifest: Manifest, indent: str = "") -> str:
    return indent + yaml_text([manifest]).removeprefix(HEADER)
