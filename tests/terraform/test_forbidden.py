"""What nobody may do, tried as each identity of one tenant against its neighbour: S3 users, tokens, service accounts,
role keys, forged events, presigned URLs, a training container.

``acme`` and ``globex`` are the two tenants of the example ``two-tenants``; acme is the one that tries. docs/security.md
says what is meant to stop each attempt. That NetworkPolicies are enforced is not shown here: see the last test.
"""

import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import urllib3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from functions._backends.ethereum import EthereumLedger
from functions._backends.keys import RoleKeys
from functions._domain import cluster as names
from functions._domain.authorizations import evidence, registration
from functions._domain.errors import RejectedSigner
from functions._domain.ports import ROLES
from functions.declaration import FUNCTIONS, subscriptions
from tests.cluster import accounts, chains
from tests.cluster.edge import Edge
from tests.cluster.tenants import Tenant
from tests.strangers import event

Act = Callable[[Any, Tenant, str], Any]

# --- object storage ---------------------------------------------------------------------------------------------------

POLICY = json.dumps({"Version": "2012-10-17", "Statement": []})
ABROAD: Mapping[str, Act] = {
    "list": lambda s3, to, key: s3.list_objects_v2(Bucket=to.bucket),
    "list versions": lambda s3, to, key: s3.list_object_versions(Bucket=to.bucket),
    "read a file": lambda s3, to, key: s3.get_object(Bucket=to.bucket, Key=key),
    "look at a file": lambda s3, to, key: s3.head_object(Bucket=to.bucket, Key=key),
    "write a file": lambda s3, to, key: s3.put_object(Bucket=to.bucket, Key=f"inbox/dataset/x/{uuid4()}", Body=b"x"),
    "replace a file": lambda s3, to, key: s3.put_object(Bucket=to.bucket, Key=key, Body=b"x"),
    "copy a file out": lambda s3, to, key: s3.copy_object(
        Bucket=to.bucket, Key=f"inbox/{uuid4()}", CopySource={"Bucket": to.bucket, "Key": key}
    ),
    "remove a file": lambda s3, to, key: s3.delete_object(Bucket=to.bucket, Key=key),
    "begin a multipart upload": lambda s3, to, key: s3.create_multipart_upload(Bucket=to.bucket, Key="inbox/x"),
    "make a token": lambda s3, to, key: s3.put_object(Bucket=to.bucket, Key=f"tokens/{uuid4()}.json", Body=b"{}"),
    "read tokens": lambda s3, to, key: s3.list_objects_v2(Bucket=to.bucket, Prefix="tokens/"),
    "change the policy": lambda s3, to, key: s3.put_bucket_policy(Bucket=to.bucket, Policy=POLICY),
    "remove the policy": lambda s3, to, key: s3.delete_bucket_policy(Bucket=to.bucket),
    "end versioning": lambda s3, to, key: s3.put_bucket_versioning(
        Bucket=to.bucket, VersioningConfiguration={"Status": "Suspended"}
    ),
    "remove the bucket": lambda s3, to, key: s3.delete_bucket(Bucket=to.bucket),
}


def secret(tenant: Tenant, name: str) -> Mapping[str, str]:
    found = tenant.cluster.get("v1", "Secret", name)
    assert found is not None
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


def client_of(cluster: Edge, tenant: Tenant, which: str) -> Any:
    """An S3 client of one of a tenant's users, or of nobody."""
    if which == "nobody":
        import boto3

        config = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"})
        return boto3.client("s3", endpoint_url=cluster.s3_url, region_name="us-east-1", config=config)
    held = secret(tenant, which)
    return accounts.client(cluster, tuple(held[name] for name in names.S3_SECRET_KEYS))  # type: ignore[arg-type]


def refused(act: Callable[[], Any]) -> None:
    with pytest.raises(ClientError) as error:
        act()
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] in (401, 403), error.value


@pytest.fixture(scope="module")
def theirs(globex: Tenant, torch_model: Path) -> str:
    """A dataset of globex."""
    return chains.dataset_of(globex, torch_model.parent, name="theirs")


@pytest.fixture(scope="module")
def ours(acme: Tenant, torch_model: Path) -> str:
    """A dataset of acme."""
    return chains.dataset_of(acme, torch_model.parent, name="ours")


@pytest.mark.parametrize("which", [names.S3_SECRET, names.S3_ERASE_SECRET, "nobody"])
@pytest.mark.parametrize("act", ABROAD)
def test_no_user_of_one_tenant_opens_the_bucket_of_another(
    cluster: Edge, acme: Tenant, globex: Tenant, theirs: str, which: str, act: str
) -> None:
    s3, key = client_of(cluster, acme, which), f"assets/{theirs}/files/model.pt2"
    refused(lambda: ABROAD[act](s3, globex, key))


@pytest.mark.parametrize("which", [names.S3_SECRET, names.S3_ERASE_SECRET])
@pytest.mark.parametrize("act", ["change the policy", "remove the policy", "end versioning"])
def test_no_user_changes_the_rules_of_its_own_bucket(cluster: Edge, acme: Tenant, which: str, act: str) -> None:
    refused(lambda: ABROAD[act](client_of(cluster, acme, which), acme, ""))


def test_functions_remove_nothing_below_assets(cluster: Edge, acme: Tenant, ours: str) -> None:
    s3, key = client_of(cluster, acme, names.S3_SECRET), f"assets/{ours}/files/model.pt2"
    refused(lambda: s3.delete_object(Bucket=acme.bucket, Key=key))
    for version in s3.list_object_versions(Bucket=acme.bucket, Prefix=key).get("Versions", ()):
        refused(lambda version=version: s3.delete_object(Bucket=acme.bucket, Key=key, VersionId=version["VersionId"]))  # type: ignore[misc]


def test_no_user_makes_a_bucket(cluster: Edge, acme: Tenant) -> None:
    for which in (names.S3_SECRET, names.S3_ERASE_SECRET):
        name = f"stolen-{secrets.token_hex(4)}"
        refused(lambda which=which, name=name: client_of(cluster, acme, which).create_bucket(Bucket=name))  # type: ignore[misc]


# --- tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["reader", "publisher", "operator"])
def test_a_token_of_one_tenant_is_nothing_to_another(acme: Tenant, globex: Tenant, theirs: str, role: str) -> None:
    token = acme.ok("token", "create", "--role", role, "--subject", "mallory")
    assert acme.http("retrieve", "GET", "/v1/assets", token=token)[0] == 200
    routes = [route for function in FUNCTIONS for route in function.routes]
    for function in FUNCTIONS:
        for route in function.routes:
            path = route.path.replace("{id}", theirs).replace("{path}", "model.pt2")
            status, _ = globex.http(function.name, route.method, path, {} if route.body else None, token=token)
            assert status == 401, (route.method, path)
    assert len(routes) > 20


def test_another_tenants_asset_is_unknown_here(acme: Tenant, theirs: str) -> None:
    for path in ("", "/status", "/contract", "/lineage", "/evidence", "/logs", "/files/model.pt2"):
        assert acme.http("retrieve", "GET", f"/v1/assets/{theirs}{path}")[0] == 404
    for what in ("retry", "cancel", "erase"):
        assert acme.http("register", "POST", f"/v1/assets/{theirs}/{what}")[0] == 404
    answer = acme.run("model", "register", "--dataset", theirs, "--image", f"x.test/y@sha256:{'1' * 64}")
    assert answer.status == 2, answer.err


# --- the Kubernetes API -----------------------------------------------------------------------------------------------

ACCOUNTS = [*(one.name for one in FUNCTIONS if one.scope == "tenant"), "run", "run-executor", "keys", "default"]
API: Mapping[str, tuple[str, str, object]] = {
    "list secrets": ("GET", "/api/v1/namespaces/{ns}/secrets", None),
    "read the bucket's Secret": ("GET", "/api/v1/namespaces/{ns}/secrets/polyglot-s3", None),
    "replace a Secret": ("PUT", "/api/v1/namespaces/{ns}/secrets/polyglot-s3", {}),
    "run a command in a pod": ("POST", "/api/v1/namespaces/{ns}/pods/x/exec?command=id", None),
    "make a pod": ("POST", "/api/v1/namespaces/{ns}/pods", {}),
    "become another account": ("POST", "/api/v1/namespaces/{ns}/serviceaccounts/train/token", {}),
    "give itself a Role": ("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings", {}),
    "replace a Service": ("PATCH", "/apis/serving.knative.dev/v1/namespaces/{ns}/services/deploy", {}),
    "make a Trigger": ("POST", "/apis/eventing.knative.dev/v1/namespaces/{ns}/triggers", {}),
    "lift the quota": ("DELETE", "/api/v1/namespaces/{ns}/resourcequotas/polyglot", None),
    "lift a NetworkPolicy": ("DELETE", "/apis/networking.k8s.io/v1/namespaces/{ns}/networkpolicies/run-trains", None),
    "read every namespace": ("GET", "/api/v1/namespaces", None),
    "read every node": ("GET", "/api/v1/nodes", None),
    "make a namespace": ("POST", "/api/v1/namespaces", {}),
}
ABROAD_ONLY: Mapping[str, tuple[str, str, object]] = {
    "make a Workflow": ("POST", "/apis/argoproj.io/v1alpha1/namespaces/{ns}/workflows", {}),
    "read a Workflow": ("GET", "/apis/argoproj.io/v1alpha1/namespaces/{ns}/workflows/x", None),
    "list pods": ("GET", "/api/v1/namespaces/{ns}/pods", None),
    "read a log": ("GET", "/api/v1/namespaces/{ns}/pods/x/log", None),
    "read the settings": ("GET", "/api/v1/namespaces/{ns}/configmaps/polyglot", None),
    "make a Secret": ("POST", "/api/v1/namespaces/{ns}/secrets", {}),
}


@pytest.fixture(scope="module")
def as_account(acme: Tenant) -> Callable[[str, str, str, object], int]:
    """One request to the API server as a service account of acme, with a token of its own; returns the status."""
    from kubernetes.client import CoreV1Api
    from kubernetes.config import new_client_from_config

    client = new_client_from_config(config_file=acme.kubeconfig)
    core, held = CoreV1Api(client), client.configuration
    tokens: dict[str, str] = {}

    def ask(account: str, method: str, path: str, body: object) -> int:
        if account not in tokens:
            wanted = {"spec": {"expirationSeconds": 3600}}
            made = core.create_namespaced_service_account_token(account, acme.namespace, wanted)
            tokens[account] = made.status.token
        pool = urllib3.PoolManager(ca_certs=held.ssl_ca_cert)
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer = pool.request(
            method, held.host + path, body=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {tokens[account]}", "Content-Type": kind}, retries=False, timeout=30,
        )  # fmt: skip
        return answer.status

    return ask


@pytest.mark.parametrize("account", ACCOUNTS)
def test_no_account_reaches_keys_other_pods_or_the_neighbour(
    acme: Tenant, globex: Tenant, as_account: Callable[[str, str, str, object], int], account: str
) -> None:
    tried = [(name, *act, acme.namespace) for name, act in API.items()]
    tried += [(name, *act, globex.namespace) for name, act in (*API.items(), *ABROAD_ONLY.items())]
    opened = [
        f"{name} in {namespace}: {status}"
        for name, method, path, body, namespace in tried
        if (status := as_account(account, method, path.format(ns=namespace), body)) != 403
    ]
    assert opened == []


# --- the ledger -------------------------------------------------------------------------------------------------------


def ledger_of(tenant: Tenant) -> EthereumLedger:
    return EthereumLedger(tenant.rpc_url, tenant.chain_id, tenant.ledger, tenant.evidence_log)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_key_of_one_tenant_signs_nothing_for_another(
    acme: Tenant, globex: Tenant, theirs: str, tmp_path: Path, role: str
) -> None:
    for name, text in secret(acme, names.key_secret(role)).items():
        (tmp_path / name).write_text(text)
    keys = RoleKeys(role, tmp_path, globex.chain_id, globex.ledger, globex.evidence_log)  # type: ignore[arg-type]
    ledger = ledger_of(globex)
    digests = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
    for message in (
        registration(uuid4(), 1, *digests, ()),
        registration(uuid4(), 3, *digests, ()),
        evidence(UUID(theirs), "integrity", digests[0], "failed"),
    ):
        with pytest.raises(RejectedSigner):
            ledger.carry(keys.authorize(message))


# --- events -----------------------------------------------------------------------------------------------------------


def contents(tenant: Tenant) -> dict[str, str]:
    """Every object of a tenant's bucket but what a forger leaves and what the sweep removes, with its digest."""
    left = ("dead-letters/", "open/")
    s3 = tenant.storage
    return {one.key: str(one) for one in s3.list("") if not one.key.startswith(left)}


def test_forged_events_at_the_neighbours_broker_change_nothing(
    cluster: Edge, acme: Tenant, globex: Tenant, ours: str, theirs: str
) -> None:
    chains.wait_for(globex, theirs)
    before, state = contents(globex), chains.status(globex, theirs)
    broker = f"{cluster.settings['EDGE_BROKER_URL']}/{globex.namespace}/{names.BROKER}"
    identifier, sent = f"forged-{uuid4()}", 0
    for one in subscriptions([one for one in FUNCTIONS if one.scope == "tenant"]):
        said = {name: value for name, value in one.filter.items() if name != "type"}
        named = one.filter["type"].removeprefix("io.polyglot.").removesuffix(".v1")
        for subject in (theirs, ours, str(uuid4())):
            for source in (f"/tenants/{acme.namespace}/functions/deploy", f"/tenants/{globex.namespace}/runs/x"):
                headers = {**event(named, subject, f"{identifier}-{sent}", **said), "ce-source": source}
                answer = urllib3.request("POST", broker, headers=headers, body=b"{}", retries=False, timeout=30)
                sent += answer.status == 202
    last = {**event("asset.registered", theirs, identifier, assetkind="dataset")}
    for _ in range(10):  # and one that is real, ten times over
        urllib3.request("POST", broker, headers=last, body=b"{}", retries=False, timeout=30)
    _at_rest(globex)
    after = contents(globex)
    assert {key: value for key, value in after.items() if not key.endswith(".exhausted.json")} == before
    assert chains.status(globex, theirs) == state
    assert sent > 100


def _at_rest(tenant: Tenant) -> None:
    """Wait until no more dead letters come: then all that was posted has been answered."""
    end, seen = time.monotonic() + 240, -1
    while time.monotonic() < end:
        now = sum(1 for _ in tenant.storage.list("dead-letters/"))
        if now == seen:
            return
        seen = now
        time.sleep(8)


# --- presigned URLs ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def upload(acme: Tenant) -> Mapping[str, Any]:
    """An upload of one file, announced and not sent."""
    import hashlib

    status, opened = acme.http("register", "POST", "/v1/uploads", {"kind": "dataset"})
    assert status == 202
    digest = f"sha256:{hashlib.sha256(b'1,2').hexdigest()}"
    page = {"page": 0, "files": [{"path": "a.csv", "size": 3, "sha256": digest}]}
    status, found = acme.http("register", "POST", f"/v1/uploads/{opened['asset']}/files", page)
    assert status == 200
    return {"asset": opened["asset"], **found["files"][0]["put"]}


def put(one: Mapping[str, Any], url: str, body: bytes = b"1,2") -> int:
    return urllib3.request(one["method"], url, body=body, headers=one["headers"], retries=False, timeout=30).status


def test_a_presigned_url_is_for_its_own_key_and_bucket(
    acme: Tenant, globex: Tenant, ours: str, upload: Mapping[str, Any]
) -> None:
    url, asset = str(upload["url"]), str(upload["asset"])
    for other in (
        url.replace("a.csv", "b.csv"),
        url.replace(asset, ours),
        url.replace(f"assets/{asset}/files/a.csv", "tokens/x.json"),
        url.replace(acme.bucket, globex.bucket),
    ):
        assert other != url
        assert put(upload, other) == 403, other
    assert urllib3.request("GET", url, retries=False, timeout=30).status == 403
    assert urllib3.request("DELETE", url, retries=False, timeout=30).status == 403


def test_a_presigned_url_writes_nothing_after_the_seal(acme: Tenant, upload: Mapping[str, Any]) -> None:
    assert put(upload, str(upload["url"])) == 200
    status, accepted = acme.http("register", "POST", "/v1/datasets", {"upload": upload["asset"], "name": "sealed"})
    assert status == 202, accepted
    chains.wait_for(acme, str(upload["asset"]))
    assert put(upload, str(upload["url"]), b"9,9") in (403, 412)
    acme.ok("verify", str(upload["asset"]))


# --- a training container ---------------------------------------------------------------------------------------------

SEARCH = """\
import json, os, pathlib, socket, ssl, sys, urllib.request, urllib.error
ssl._create_default_https_context = ssl._create_unverified_context
def ask(url, data=None, **headers):
    try:
        request = urllib.request.Request(url, data=data, headers=headers)
        return urllib.request.urlopen(request, timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code
    except Exception as error:
        return type(error).__name__
places = ("/var/run/secrets", "/var/run/polyglot", "/argo/secret", "/var/run/docker.sock")
words = ("AWS", "TOKEN", "SECRET", "KEY")
found = {{
    "variables": [name for name in os.environ if any(word in name for word in words)],
    "files": [place for place in places if pathlib.Path(place).exists()],
    "user": os.getuid(),
    "api": ask("https://kubernetes.default.svc/api/v1/namespaces/{ours}/secrets"),
    "anonymous api": ask("https://kubernetes.default.svc/api"),
    "store": ask("http://s3.storage.svc.cluster.local/{bucket}?list-type=2"),
    "neighbour's store": ask("http://s3.storage.svc.cluster.local/{their_bucket}?list-type=2"),
    "platform": ask("http://retrieve.{ours}.svc.cluster.local/v1/assets"),
    "neighbour": ask("http://retrieve.{theirs}.svc.cluster.local/v1/assets"),
    "tokens": ask("http://register.{theirs}.svc.cluster.local/v1/tokens", b"{{}}"),
    "internet": ask("http://example.com/"),
    "cloud metadata": ask("http://169.254.169.254/latest/meta-data/"),
}}
print(json.dumps(found))
sys.exit("looked: " + json.dumps(found))
"""


def test_a_training_container_finds_no_credential_and_no_open_door(
    acme: Tenant, globex: Tenant, tmp_path: Path, script_image: str
) -> None:
    """The script comes in its dataset: a command is not that long."""
    script = SEARCH.format(ours=acme.namespace, theirs=globex.namespace, bucket=acme.bucket, their_bucket=globex.bucket)
    (tmp_path / "look.py").write_text(script)
    dataset = chains.dataset_of(acme, tmp_path, name="looks-around")
    run = "exec(open('/opt/ml/input/data/train/look.py').read())"
    model = chains.ask(acme, dataset, script_image, run, name="looks-around")
    reason = chains.wait_for(acme, model, ["failed"])["reason"]
    found = json.loads(reason[reason.index("looked: ") + len("looked: ") :].splitlines()[0])
    assert (found["variables"], found["files"]) == ([], [])
    assert found["user"] != 0
    # Refused by who is asked, or not reached at all where the network plug-in enforces NetworkPolicies.
    unreached = ("URLError", "TimeoutError", "ConnectionRefusedError")
    for door in ("api", "anonymous api", "store", "neighbour's store", "platform", "neighbour", "tokens"):
        assert found[door] in (401, 403, *unreached), (door, found[door])
    for nowhere in ("internet", "cloud metadata"):
        assert found[nowhere] in unreached, (nowhere, found[nowhere])
