"""Tenants made by Terraform, in the order in which an operator makes them.

1. outside: `polyglot ledger init` for each, with an admin key of its own
2. `terraform apply`
3. outside: `polyglot ledger appoint all` with what the namespace has published, and the first token
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from functions._domain import cluster as names
from functions._runtime import manifests
from tests.cluster.edge import Edge
from tests.cluster.tenants import Tenant, command, connected
from tests.terraform.workspace import Workspace


@dataclass(frozen=True)
class Applied:
    """What Terraform has made."""

    workspace: Workspace
    tenants: Mapping[str, Tenant]


def environment(cluster: Edge) -> dict[str, str]:
    """What Terraform's providers and scripts read, and never write down."""
    access, secret = cluster.credentials
    return {"KUBECONFIG": cluster.settings["KUBECONFIG"], "AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}


def addresses(cluster: Edge, images: Path) -> dict[str, object]:
    """The examples' variables that say where the parts of this cluster are."""
    server = connected(cluster.settings["KUBECONFIG"], "default")
    slices = server.select("discovery.k8s.io/v1", "EndpointSlice", "kubernetes.io/service-name=kubernetes")
    return {
        "kubeconfig": cluster.settings["KUBECONFIG"],
        "images": str(images),
        "domain": cluster.settings.get("EDGE_DOMAIN", "edge.test"),
        "ingress_namespaces": [cluster.settings.get("EDGE_INGRESS_NAMESPACE", "ingress")],
        "api_server": [
            f"{one}/32" for part in slices for endpoint in part["endpoints"] for one in endpoint["addresses"]
        ],
        "store_public_url": cluster.s3_url,
    }


def complete(images: Path, place: Path) -> Path:
    """The images as a file that names all of them: those that nobody has built are of translators that nobody asks."""
    found: dict[str, str] = json.loads(images.read_text())
    all_of_them = {
        container["image"]
        for one in manifests.objects()
        if one["kind"] == "Service"
        for container in one["spec"]["template"]["spec"]["containers"]
    }
    path = place / "images.json"
    path.write_text(json.dumps({name: found.get(name, found["polyglot-ledger"]) for name in sorted(all_of_them)}))
    return path


def ledgers(cluster: Edge, tenants: Sequence[str], place: Path) -> dict[str, Any]:
    """Make each tenant's contracts with an admin key that stays in a folder."""
    found = {}
    for name in tenants:
        ran = command(
            "ledger",
            "init",
            "--keys",
            str(place / name),
            "--json",
            POLYGLOT_RPC_URL=cluster.rpc_url,
            POLYGLOT_LEDGER="",
        )
        assert ran.status == 0, ran.err
        found[name] = json.loads(ran.out)
    return found


def opened(cluster: Edge, name: str, url: str, ledger: Mapping[str, Any], admin: Path) -> Tenant:
    """Let an applied tenant's roles act, and make its first token."""
    kubeconfig = cluster.settings["KUBECONFIG"]
    secret = connected(kubeconfig, name).get("v1", "Secret", names.S3_SECRET)
    assert secret is not None
    access, key = (base64.b64decode(secret["data"][field]).decode() for field in names.S3_SECRET_KEYS)
    tenant = Tenant(
        name, url, cluster.ingress, "", f"{name}-models", cluster.s3_url, (access, key), cluster.rpc_url,
        ledger["chain_id"], ledger["ledger"], ledger["evidence_log"], admin, kubeconfig,
    )  # fmt: skip
    tenant.ok("ledger", "appoint", "all", "--namespace", name, "--keys", str(admin))
    token = tenant.ok(
        "token", "create", "--namespace", name, "--role", "operator", "--subject", f"you@{name}.example.org"
    )
    return Tenant(**{**vars(tenant), "token": token})
