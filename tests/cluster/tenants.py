"""A tenant made from nothing, in the order in which an operator makes one, with the commands an operator has.

1. a bucket, and who may open it         4. ConfigMap and Secrets
2. `polyglot ledger init`                5. `polyglot token create`
3. `polyglot key create`, then           6. `polyglot deploy`
   `polyglot ledger appoint`

>>> tenant = created(cluster, "acme", Path("admin"))  # doctest: +SKIP
>>> tenant.ok("dataset", "register", "digits", "--wait")  # doctest: +SKIP
"""

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from functions._backends.s3 import S3Storage
from functions._domain import cluster as names
from functions._runtime.deployer.cluster import KubernetesCluster
from tests.cluster import accounts
from tests.cluster.edge import Edge
from tests.platforms import POLYGLOT, Ran

ROOT = Path(__file__).parents[2]
IMAGES = "POLYGLOT_IMAGES"


@dataclass(frozen=True)
class Tenant:
    """A tenant whose functions are deployed, as its operator knows it.

    Attributes:
        url: where its functions are, with ``{function}``.
        ingress: where to connect to.
        s3_url: the object store as a test reaches it.
        credentials: access key and secret of its bucket's user, which opens no other bucket.
        admin: the folder with its ledger's admin key and the roles' public keys.
        deployed: what ``polyglot deploy --json`` said.
    """

    namespace: str
    url: str
    ingress: str
    token: str
    bucket: str
    s3_url: str
    credentials: tuple[str, str]
    rpc_url: str
    chain_id: int
    ledger: str
    evidence_log: str
    admin: Path
    kubeconfig: str
    deployed: Any = None

    @property
    def environment(self) -> Mapping[str, str]:
        """What the command line needs to work with this tenant."""
        access, secret = self.credentials
        return {
            "POLYGLOT_URL": self.url,
            "POLYGLOT_INGRESS_URL": self.ingress,
            "POLYGLOT_TOKEN": self.token,
            "POLYGLOT_BUCKET": self.bucket,
            "POLYGLOT_S3_URL": self.s3_url,
            "POLYGLOT_RPC_URL": self.rpc_url,
            "POLYGLOT_LEDGER": self.ledger,
            "POLYGLOT_EVIDENCE_LOG": self.evidence_log,
            "POLYGLOT_CACHE": str(self.admin / "client-cache"),
            "KUBECONFIG": self.kubeconfig,
            "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
        }

    @property
    def storage(self) -> S3Storage:
        """Its bucket, opened with its own credentials."""
        return S3Storage.from_settings(self.environment)

    @property
    def cluster(self) -> KubernetesCluster:
        """Its namespace, seen with the operator's rights."""
        return connected(self.kubeconfig, self.namespace)

    def run(self, *arguments: str, timeout: float = 600, **environment: str) -> Ran:
        """Run a polyglot command against this tenant."""
        return command(*arguments, timeout=timeout, **{**self.environment, **environment})

    def ok(self, *arguments: str, timeout: float = 600) -> str:
        """Run a polyglot command that must succeed; returns what it printed."""
        return _succeeded(self.run(*arguments, timeout=timeout), arguments).out

    def http(self, function: str, method: str, path: str, body: object = None, token: str | None = None) -> Any:
        """One HTTP request through the ingress; returns status and JSON (or bytes)."""
        host = urllib3.util.parse_url(self.url.replace("{function}", function)).netloc
        headers = {"Host": host or "", "Authorization": f"Bearer {self.token if token is None else token}"}
        data = None if body is None else json.dumps(body).encode()
        answer = urllib3.request(
            method, self.ingress + path, body=data, headers=headers, redirect=False, retries=False, timeout=90
        )
        is_json = "json" in answer.headers.get("Content-Type", "")
        return answer.status, json.loads(answer.data) if is_json else answer.data


def created(cluster: Edge, namespace: str, folder: Path, images: Path | None = None) -> Tenant:
    """Make a tenant; run again with the same folder, it goes on where it was.

    Args:
        cluster: where.
        namespace: its namespace, its name, and its bucket's.
        folder: where its admin key stays.
        images: what ``make images`` has written (default: ``POLYGLOT_IMAGES``, or build/images.json).
    """
    bucket = f"{namespace}-models"
    credentials = _credentials(cluster, namespace) or accounts.bucket_with_user(cluster, namespace, bucket)
    environment = {"KUBECONFIG": cluster.settings["KUBECONFIG"], "POLYGLOT_RPC_URL": cluster.rpc_url}
    ledger = json.loads(_command("ledger", "init", "--keys", str(folder), "--json", **environment))
    tenant = Tenant(
        namespace, "", cluster.ingress, "", bucket, cluster.s3_url, credentials, cluster.rpc_url,
        ledger["chain_id"], ledger["ledger"], ledger["evidence_log"], folder, environment["KUBECONFIG"],
    )  # fmt: skip
    _prepare(cluster, tenant)
    tenant.ok("key", "create", "all", "--secret", namespace)
    tenant.ok("ledger", "appoint", "all", "--namespace", namespace, "--keys", str(folder))
    token = tenant.ok("token", "create", "--role", "operator", "--subject", "admin")
    path = images or Path(os.environ.get(IMAGES) or ROOT / "build" / "images.json")
    deployed = json.loads(tenant.ok("deploy", "--namespace", namespace, "--images", str(path), "--json"))
    url = _url(tenant)
    return Tenant(**{**vars(tenant), "token": token, "url": url, "deployed": deployed})


def _credentials(cluster: Edge, namespace: str) -> tuple[str, str] | None:
    """Those of an earlier call: a tenant is made once."""
    secret = connected(cluster.settings["KUBECONFIG"], namespace).get("v1", "Secret", names.S3_SECRET)
    if secret is None:
        return None
    access, key = (base64.b64decode(secret["data"][name]).decode() for name in names.S3_SECRET_KEYS)
    return access, key


def _prepare(cluster: Edge, tenant: Tenant) -> None:
    """The namespace with its ConfigMap and the Secret of its bucket."""
    there, namespace = tenant.cluster, tenant.namespace
    there.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    settings = {
        "POLYGLOT_TENANT": namespace,
        "POLYGLOT_BUCKET": tenant.bucket,
        "POLYGLOT_S3_PUBLIC_URL": cluster.s3_url,
        "AWS_REGION": "us-east-1",
        "POLYGLOT_CHAIN_ID": str(tenant.chain_id),
        "POLYGLOT_LEDGER": tenant.ledger,
        "POLYGLOT_EVIDENCE_LOG": tenant.evidence_log,
        "POLYGLOT_ENGINE": "argo",
        "POLYGLOT_LOG_FORMAT": "json",
        **{
            name: cluster.inside(name, namespace)
            for name in ("POLYGLOT_S3_URL", "POLYGLOT_RPC_URL", "POLYGLOT_BROKER_URL")
        },
    }
    there.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": names.SETTINGS}, "data": settings})
    secret = dict(zip(names.S3_SECRET_KEYS, tenant.credentials, strict=True))
    for name in (names.S3_SECRET, names.S3_ERASE_SECRET):
        head = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
        there.create({**head, "stringData": secret})


def _url(tenant: Tenant) -> str:
    from functions._runtime.deployer import addresses
    from functions.declaration import FUNCTIONS

    found = addresses.template(tenant.cluster.select("serving.knative.dev/v1", "Service"), FUNCTIONS)
    assert found, "the Services' addresses follow no one template"
    return found


def removed(cluster: Edge, tenant: Tenant) -> None:
    """Remove a tenant: its namespace (which goes by and by), its bucket's objects, its user."""
    tenant.cluster.delete("v1", "Namespace", tenant.namespace)
    accounts.remove(cluster, tenant.namespace, tenant.bucket)


def connected(kubeconfig: str, namespace: str) -> KubernetesCluster:
    """A namespace of the cluster of a kubeconfig."""
    from kubernetes.config import new_client_from_config

    return KubernetesCluster(new_client_from_config(config_file=kubeconfig), namespace)


def command(*arguments: str, timeout: float = 600, **environment: str) -> Ran:
    """Run a polyglot command."""
    ended = subprocess.run(
        [*POLYGLOT, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ran(ended.returncode, ended.stdout.strip(), ended.stderr)


def _command(*arguments: str, **environment: str) -> str:
    return _succeeded(command(*arguments, **environment), arguments).out


def _succeeded(ran: Ran, arguments: tuple[str, ...]) -> Ran:
    assert ran.status == 0, f"polyglot {' '.join(arguments)} ended with {ran.status}:\n{ran.err}"
    return ran
