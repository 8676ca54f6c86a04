"""The doctor's questions to the Kubernetes API, over HTTP, to a server that answers as the real one does."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from functions._cli.doctor.view import KubernetesView
from functions._domain.errors import RejectedForbidden

AHEAD = 300


class ApiServer(BaseHTTPRequestHandler):
    """Answers what ``documents`` has by path and query, and reviews by who may create; keeps what was posted."""

    documents: ClassVar[dict[str, Any]] = {
        "/version": {"major": "1"},
        "/apis/argoproj.io/v1alpha1": {"resources": [{"name": "workflows"}, {"name": "workflowtaskresults"}]},
        "/apis/apps/v1/deployments?labelSelector=app%3Dworkflow-controller": {"items": [{"metadata": {"name": "one"}}]},
        "/api/v1/nodes": {"items": [{"metadata": {"name": "node"}}]},
        "/api/v1/namespaces/knative-serving/configmaps/config-features": {"data": {"flag": "enabled"}},
        "/api/v1/namespaces/acme/secrets/polyglot-s3": 403,
    }
    posted: ClassVar[list[tuple[str, Any]]] = []

    def do_GET(self) -> None:
        found = self.documents.get(self.path, 404)
        self._answer(found if isinstance(found, int) else 200, {"message": "no"} if isinstance(found, int) else found)

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.posted.append((self.path, review))
        asked = review["spec"]["resourceAttributes"]
        self._answer(201, {**review, "status": {"allowed": asked["verb"] == "create" and "subresource" not in asked}})

    def send_response(self, code: int, message: str | None = None) -> None:
        self.send_response_only(code, message)
        self.send_header("Date", format_datetime(datetime.now(UTC) + timedelta(seconds=AHEAD), usegmt=True))

    def _answer(self, status: int, document: object) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def view() -> Iterator[KubernetesView]:
    kubernetes = pytest.importorskip("kubernetes.client", reason="the extra `argo` is not installed")
    server = ThreadingHTTPServer(("127.0.0.1", 0), ApiServer)
    Thread(target=server.serve_forever, daemon=True).start()
    configuration = kubernetes.Configuration(host=f"http://127.0.0.1:{server.server_port}")
    with kubernetes.ApiClient(configuration) as client:
        yield KubernetesView(client, "acme")
    server.shutdown()
    server.server_close()


def test_what_an_api_group_has_is_discovered(view: KubernetesView) -> None:
    assert view.kinds("argoproj.io/v1alpha1") == {"workflows", "workflowtaskresults"}
    assert view.kinds("argoproj.io/v9") == frozenset()


def test_objects_of_all_namespaces_and_of_none_are_listed(view: KubernetesView) -> None:
    assert [one["metadata"]["name"] for one in view.everywhere("apps/v1", "Deployment", "app=workflow-controller")] == [
        "one"
    ]
    assert [one["metadata"]["name"] for one in view.everywhere("v1", "Node")] == ["node"]
    assert view.everywhere("v1", "Unknown") == []


def test_another_namespace_is_looked_at_by_the_same_connection(view: KubernetesView) -> None:
    found = view.beside("knative-serving").get("v1", "ConfigMap", "config-features")
    assert found is not None
    assert found["data"] == {"flag": "enabled"}


def test_what_one_may_not_look_at_is_told_apart_from_what_is_not_there(view: KubernetesView) -> None:
    assert view.get("v1", "Secret", "polyglot-key-trainer") is None
    with pytest.raises(RejectedForbidden):
        view.get("v1", "Secret", "polyglot-s3")


def test_rights_are_asked_for_as_the_service_account(view: KubernetesView) -> None:
    assert view.may("train", "create", "argoproj.io", "workflows")
    assert not view.may("train", "get", "", "secrets")
    assert not view.may("train", "create", "", "pods/exec")
    path, review = ApiServer.posted[-1]
    assert path == "/apis/authorization.k8s.io/v1/namespaces/acme/localsubjectaccessreviews"
    assert review["spec"]["user"] == "system:serviceaccount:acme:train"
    assert "system:serviceaccounts:acme" in review["spec"]["groups"]
    attributes = {"namespace": "acme", "verb": "create", "group": "", "resource": "pods", "subresource": "exec"}
    assert review["spec"]["resourceAttributes"] == attributes


def test_the_servers_clock_is_read_from_an_answer(view: KubernetesView) -> None:
    assert abs(view.ahead() - AHEAD) < 5
