"""The Kubernetes API as the doctor sees it: the deployer's, which only reads here, and a few questions more."""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Protocol, Self

from functions._domain.errors import RejectedUnknown, Unavailable
from functions._runtime.deployer.cluster import TIMEOUT, Cluster, KubernetesCluster, path
from functions._runtime.manifests.files import Manifest

OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class View(Cluster, Protocol):
    """One namespace of a cluster, and the way to the others. RejectedForbidden where one may not look."""

    def beside(self, namespace: str) -> Self:
        """Another namespace."""

    def everywhere(self, api: str, kind: str, labels: str = "") -> list[Manifest]:
        """The objects of a kind in all namespaces, or those that are in none."""

    def kinds(self, api: str) -> frozenset[str]:
        """The names, in the plural, of what an API group's version has; empty where the cluster does not know it."""

    def may(self, account: str, verb: str, group: str, resource: str) -> bool:
        """Whether a service account of this namespace may do something in it."""

    def ahead(self) -> float:
        """How far the API server's clock is ahead of this machine's, in seconds."""


class KubernetesView(KubernetesCluster):
    """The real one."""

    def beside(self, namespace: str) -> Self:
        """Another namespace, by the same connection."""
        return type(self)(self._client, namespace)

    def everywhere(self, api: str, kind: str, labels: str = "") -> list[Manifest]:
        """The objects of a kind in all namespaces."""
        where = path(api, kind, "").replace("/namespaces//", "/")
        try:
            items: list[Manifest] = self._json("GET", where, {"labelSelector": labels} if labels else None)["items"]
        except RejectedUnknown:
            return []
        return items

    def kinds(self, api: str) -> frozenset[str]:
        """What an API group's version has, by discovery, which everybody may."""
        try:
            return frozenset(one["name"] for one in self._json("GET", f"/apis/{api}")["resources"])
        except RejectedUnknown:
            return frozenset()

    def may(self, account: str, verb: str, group: str, resource: str) -> bool:
        """Ask the API server: https://kubernetes.io/docs/reference/access-authn-authz/authorization/."""
        name, _, part = resource.partition("/")
        attributes: Mapping[str, str] = {
            "namespace": self.namespace,
            "verb": verb,
            "group": group,
            "resource": name,
            **({"subresource": part} if part else {}),
        }
        api = "authorization.k8s.io/v1"
        review = {
            "apiVersion": api,
            "kind": "LocalSubjectAccessReview",
            "metadata": {"namespace": self.namespace},
            "spec": {
                "user": f"system:serviceaccount:{self.namespace}:{account}",
                "groups": [
                    "system:serviceaccounts",
                    f"system:serviceaccounts:{self.namespace}",
                    "system:authenticated",
                ],
                "resourceAttributes": attributes,
            },
        }
        answer = self._json("POST", path(api, "LocalSubjectAccessReview", self.namespace), None, review)
        return bool(answer["status"].get("allowed"))

    def ahead(self) -> float:
        """By the ``Date`` of an answer."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        request = self._client.param_serialize("GET", "/version", auth_settings=["BearerToken"])
        try:
            answer = self._client.call_api(*request, _request_timeout=TIMEOUT)
            answer.read()
        except (ApiException, HTTPError, OSError) as error:
            raise Unavailable(f"the Kubernetes API server does not answer: {error}") from error
        return parsedate_to_datetime(answer.getheader("Date")).timestamp() - time.time()
