"""The Kubernetes API as the deployer sees it: a few calls in one namespace, every object a plain document.

Writing is server-side apply (https://kubernetes.io/docs/reference/using-api/server-side-apply/): the API server keeps
which fields are ours, and takes back those that we no longer send. ``KubernetesCluster`` is the real one; tests have
another implementation of the same protocol.

>>> path("eventing.knative.dev/v1", "Trigger", "acme", "train-contract-deployed-model")
'/apis/eventing.knative.dev/v1/namespaces/acme/triggers/train-contract-deployed-model'
"""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol, Self

from functions._domain.errors import (
    PolyglotError,
    RejectedConflict,
    RejectedForbidden,
    RejectedRequest,
    RejectedUnknown,
    Unavailable,
)
from functions._runtime.manifests.files import Manifest

MANAGER = "polyglot"
"""Our name as a field manager."""

TIMEOUT = (5.0, 30.0)
"""Seconds to connect to the API server, and to wait for its answer."""

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between tries where the API server, or a webhook that it asks, does not answer. Requests can be repeated."""

APPLY, JSON = "application/apply-patch+yaml", "application/json"


class RejectedChange(RejectedConflict):
    """A field that cannot be changed has another value: only deleting and creating anew helps."""


class Cluster(Protocol):
    """One namespace of a cluster."""

    @property
    def namespace(self) -> str:
        """The namespace that all objects are in, but Namespaces themselves."""

    def get(self, api: str, kind: str, name: str) -> Manifest | None:
        """An object, or None."""

    def select(self, api: str, kind: str, labels: str = "", fields: str = "") -> list[Manifest]:
        """The objects of a kind that two selectors leave; none where the cluster does not know the kind."""

    def apply(self, manifest: Manifest, dry_run: bool = False) -> Manifest:
        """Make an object as the manifest says; returns what is there then. Raises RejectedChange."""

    def create(self, manifest: Manifest) -> bool:
        """Make an object; False where one of this name is there already, which stays as it is."""

    def delete(self, api: str, kind: str, name: str, dry_run: bool = False) -> None:
        """Remove an object and what belongs to it; none there is success."""

    def log(self, pod: str, container: str, previous: bool, lines: int) -> str:
        """The last lines that a container, or its previous life, has written; empty where there are none."""


class KubernetesCluster:
    """The real one, through the ``kubernetes`` package's connection.

    Args:
        client: a ``kubernetes.client.ApiClient``.
        pauses: see ``PAUSES``.
    """

    def __init__(self, client: Any, namespace: str, pauses: Sequence[float] = PAUSES) -> None:
        self._client, self.namespace, self._pauses = client, namespace, pauses

    @classmethod
    def connected(cls, namespace: str, context: str | None = None) -> Self:
        """Where the kubeconfig says, or the pod's own cluster where there is none.

        Raises:
            Unavailable: neither is there.
        """
        return cls(_client(context), namespace)

    def get(self, api: str, kind: str, name: str) -> Manifest | None:
        """An object, or None."""
        try:
            return self._json("GET", path(api, kind, self.namespace, name))
        except RejectedUnknown:
            return None

    def select(self, api: str, kind: str, labels: str = "", fields: str = "") -> list[Manifest]:
        """The objects of a kind that two selectors leave; none where the cluster does not know the kind."""
        selectors = {"labelSelector": labels, "fieldSelector": fields}
        query = {name: value for name, value in selectors.items() if value}
        try:
            items: list[Manifest] = self._json("GET", path(api, kind, self.namespace), query)["items"]
        except RejectedUnknown:
            return []
        # A list's items do not say of which kind they are.
        return [{"apiVersion": api, "kind": kind, **item} for item in items]

    def apply(self, manifest: Manifest, dry_run: bool = False) -> Manifest:
        """Make an object as the manifest says, by server-side apply."""
        query = {"fieldManager": MANAGER, "force": "true", **_dry(dry_run)}
        return self._json("PATCH", self._path_of(manifest), query, self._placed(manifest), APPLY)

    def create(self, manifest: Manifest) -> bool:
        """Make an object that is not there yet."""
        collection = self._path_of(manifest).rpartition("/")[0]
        try:
            self._json("POST", collection, {"fieldManager": MANAGER}, self._placed(manifest))
        except _Exists:
            return False
        return True

    def delete(self, api: str, kind: str, name: str, dry_run: bool = False) -> None:
        """Remove an object and what belongs to it."""
        try:
            self._json(
                "DELETE",
                path(api, kind, self.namespace, name),
                {**_dry(dry_run), "propagationPolicy": "Background"},
            )
        except RejectedUnknown:
            return

    def log(self, pod: str, container: str, previous: bool, lines: int) -> str:
        """The last lines that a container has written."""
        where = f"{path('v1', 'Pod', self.namespace, pod)}/log"
        query = {"container": container, "previous": str(previous).lower(), "tailLines": str(lines)}
        try:
            return self._send("GET", where, query).decode(errors="replace").strip()
        except (RejectedUnknown, RejectedRequest):  # 400: that life has left no log
            return ""

    def _path_of(self, manifest: Manifest) -> str:
        return path(manifest["apiVersion"], manifest["kind"], self.namespace, manifest["metadata"]["name"])

    def _placed(self, manifest: Manifest) -> Manifest:
        if manifest["kind"] in CLUSTER_WIDE:
            return manifest
        return {**manifest, "metadata": {**manifest["metadata"], "namespace": self.namespace}}

    def _json(
        self,
        method: str,
        where: str,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = JSON,
    ) -> Manifest:
        for pause in self._pauses:
            with suppress(Unavailable):
                return self._document(method, where, query or {}, body, content_type)
            time.sleep(pause)
        return self._document(method, where, query or {}, body, content_type)

    def _document(
        self, method: str, where: str, query: Mapping[str, str], body: Manifest | None, content_type: str
    ) -> Manifest:
        document: Manifest = json.loads(self._send(method, where, query, body, content_type))
        return document

    def _send(
        self,
        method: str,
        where: str,
        query: Mapping[str, str],
        body: Manifest | None = None,
        content_type: str = JSON,
    ) -> bytes:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        request = self._client.param_serialize(
            method,
            where,
            query_params=list(query.items()),
            header_params={"Accept": JSON, "Content-Type": content_type},
            # JSON is YAML too; a text is sent as it is.
            body=json.dumps(body) if content_type == APPLY else body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = self._client.call_api(*request, _request_timeout=TIMEOUT)
            data: bytes = answer.read()
        except (ApiException, HTTPError, OSError) as error:
            raise Unavailable(f"the Kubernetes API server does not answer: {error}") from error
        if answer.status >= 300:
            raise refused(answer.status, data, f"{method} {where}")
        return data


CLUSTER_WIDE = frozenset({"Namespace", "Node"})


class _Exists(RejectedConflict):
    """An object of this name is there already."""


def path(api: str, kind: str, namespace: str, name: str = "") -> str:
    """Where the API server has an object, or a kind's objects."""
    plural = kind.lower().removesuffix("y") + ("ies" if kind.endswith("y") else "s")
    root = f"/apis/{api}" if "/" in api else f"/api/{api}"
    inside = "" if kind in CLUSTER_WIDE else f"/namespaces/{namespace}"
    return f"{root}{inside}/{plural}" + (f"/{name}" if name else "")


def refused(status: int, body: bytes, request: str) -> PolyglotError:
    """The error that an answer of the API server stands for; its body is a ``Status`` document."""
    try:
        document = json.loads(body)
        text, reason = str(document["message"]), str(document.get("reason", ""))
    except (ValueError, KeyError, TypeError):
        text, reason = body[:300].decode(errors="replace").strip(), ""
    said = f"the Kubernetes API server answered {status} to {request}: {text}"
    if status == 409 and reason == "AlreadyExists":
        return _Exists(said)
    if status in (400, 403, 422) and _names_an_immutable(text):
        return RejectedChange(said)
    kinds = {401: RejectedForbidden, 403: RejectedForbidden, 404: RejectedUnknown, 409: Unavailable, 429: Unavailable}
    return kinds.get(status, Unavailable if status >= 500 else RejectedRequest)(said)


def _names_an_immutable(text: str) -> bool:
    """Whether a refusal is about a field that cannot change.

    Knative's webhooks say "Immutable field(s) changed", Kubernetes "field is immutable" and, of bindings, "cannot
    change roleRef".
    """
    return "immutable" in text.lower() or "cannot change roleref" in text.lower()


def _dry(dry_run: bool) -> Mapping[str, str]:
    return {"dryRun": "All"} if dry_run else {}


def _client(context: str | None) -> Any:
    try:
        config, client = import_module("kubernetes.config"), import_module("kubernetes.client")
    except ImportError as error:
        raise Unavailable("the package `kubernetes` is not installed: pip install '.[argo]'") from error
    try:
        return config.new_client_from_config(context=context)
    except config.ConfigException as error:
        said = str(error)
    try:
        configuration = client.Configuration()
        config.load_incluster_config(client_configuration=configuration)
        return client.ApiClient(configuration)
    except config.ConfigException:
        raise Unavailable(f"no cluster to talk to ({said}): set KUBECONFIG, or name one with --context") from None
