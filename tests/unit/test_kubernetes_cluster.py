"""The Kubernetes API behind the deployer's protocol: where objects are, what is sent, and what its answers mean."""

import json
from typing import Any

import pytest

from functions._domain.errors import (
    PolyglotError,
    RejectedConflict,
    RejectedForbidden,
    RejectedRequest,
    RejectedUnknown,
    Unavailable,
)
from functions._runtime import manifests
from functions._runtime.deployer.cluster import KubernetesCluster, RejectedChange, path, refused
from tests.fake_cluster import secret


@pytest.mark.parametrize(
    ("api", "kind", "name", "expected"),
    [
        ("v1", "Namespace", "acme", "/api/v1/namespaces/acme"),
        ("v1", "Secret", "x", "/api/v1/namespaces/acme/secrets/x"),
        ("networking.k8s.io/v1", "NetworkPolicy", "", "/apis/networking.k8s.io/v1/namespaces/acme/networkpolicies"),
        ("serving.knative.dev/v1", "Service", "a", "/apis/serving.knative.dev/v1/namespaces/acme/services/a"),
    ],
)
def test_objects_are_where_the_api_server_has_them(api: str, kind: str, name: str, expected: str) -> None:
    assert path(api, kind, "acme", name) == expected


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (400, "admission webhook denied the request: validation failed: Immutable fields changed", RejectedChange),
        (422, "RoleBinding is invalid: roleRef: Invalid value: cannot change roleRef", RejectedChange),
        (422, "spec.template is invalid", RejectedRequest),
        (403, "User cannot patch", RejectedForbidden),
        (404, "not found", RejectedUnknown),
        (409, "the object has been modified", Unavailable),
        (500, "etcd is away", Unavailable),
    ],
)
def test_a_refusal_becomes_the_error_that_says_whether_to_try_again(
    status: int, message: str, expected: type[PolyglotError]
) -> None:
    error = refused(status, json.dumps({"message": message}).encode(), "PATCH /x")
    assert type(error) is expected
    assert message in str(error)


def test_a_name_that_is_taken_is_told_from_other_conflicts() -> None:
    taken = refused(409, json.dumps({"message": "it exists", "reason": "AlreadyExists"}).encode(), "POST /x")
    assert isinstance(taken, RejectedConflict)
    assert "bad gateway" in str(refused(502, b"<html>bad gateway", "GET /x"))


class Connection:
    """Stands in for the package's connection: notes requests, and gives prepared answers, the last one for ever."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        self.sent: list[dict[str, Any]] = []
        self._answers = list(answers)

    def param_serialize(self, method: str, path: str, **given: Any) -> tuple[dict[str, Any]]:
        return ({"method": method, "path": path, **given},)

    def call_api(self, request: dict[str, Any], _request_timeout: object) -> "Connection":
        self.sent.append(request)
        self.status, self._body = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return self

    def read(self) -> bytes:
        return json.dumps(self._body).encode()


def test_applying_is_server_side_by_our_name_in_the_namespace() -> None:
    connection = Connection((200, {"metadata": {}}))
    KubernetesCluster(connection, "acme").apply(manifests.objects()[0], dry_run=True)
    (sent,) = connection.sent
    assert (sent["method"], sent["path"]) == ("PATCH", "/api/v1/namespaces/acme/serviceaccounts/register")
    assert dict(sent["query_params"]) == {"fieldManager": "polyglot", "force": "true", "dryRun": "All"}
    assert sent["header_params"]["Content-Type"] == "application/apply-patch+yaml"
    assert json.loads(sent["body"])["metadata"]["namespace"] == "acme"


def test_a_webhook_that_does_not_answer_is_asked_again_and_a_refusal_is_not() -> None:
    away = (500, {"message": 'failed calling webhook "webhook.eventing.knative.dev": connection refused'})
    connection = Connection(away, away, (200, {"metadata": {"name": "x"}}))
    assert KubernetesCluster(connection, "acme", pauses=[0, 0]).get("v1", "Secret", "x") == {"metadata": {"name": "x"}}
    connection = Connection(away)
    with pytest.raises(Unavailable, match="connection refused"):
        KubernetesCluster(connection, "acme", pauses=[0, 0]).get("v1", "Secret", "x")
    assert len(connection.sent) == 3
    connection = Connection((403, {"message": "no"}))
    with pytest.raises(RejectedForbidden):
        KubernetesCluster(connection, "acme", pauses=[0, 0]).get("v1", "Secret", "x")
    assert len(connection.sent) == 1


def test_what_is_not_there_is_none_and_what_is_there_already_is_said() -> None:
    nothing, taken = (404, {"message": "not found"}), (409, {"message": "it exists", "reason": "AlreadyExists"})
    assert KubernetesCluster(Connection(nothing), "acme").get("v1", "Secret", "x") is None
    assert KubernetesCluster(Connection(nothing), "acme").select("argoproj.io/v1alpha1", "Workflow") == []
    KubernetesCluster(Connection(nothing), "acme").delete("v1", "Secret", "x")
    assert not KubernetesCluster(Connection(taken), "acme").create(secret("x", {}))
    assert KubernetesCluster(Connection((201, {})), "acme").create(secret("x", {}))
