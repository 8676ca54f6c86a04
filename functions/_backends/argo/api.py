"""The Kubernetes API, as far as runs need it: Workflows, their pods, pods' logs. The one seam to the cluster."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

from functions._domain.cluster import RUN_LABEL
from functions._domain.errors import RejectedConflict, UnavailableEngine

Document = Mapping[str, Any]
Result = TypeVar("Result")

GROUP, VERSION, PLURAL = "argoproj.io", "v1alpha1", "workflows"
SECONDS = 10
_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_WRONG = (400, 422)


class RunsApi(Protocol):
    """What the engine asks of a cluster; every method raises UnavailableEngine where it does not answer."""

    def create(self, workflow: Document) -> bool:
        """Create a Workflow; False where there is one of this name. Raises RejectedConflict where it is refused."""

    def workflow(self, name: str) -> Document | None:
        """A Workflow, or None."""

    def patch(self, name: str, changes: Document) -> bool:
        """Change a Workflow by a merge patch (RFC 7386); False where there is none."""

    def pods(self, workflow: str, run: str) -> Sequence[Document]:
        """The pods of a Workflow whose label ``polyglot.io/run`` has this value, oldest first."""

    def log(self, pod: str, container: str, lines: int | None, limit: int) -> bytes:
        """The last lines of a container's log, or all of it, at most ``limit`` bytes; empty where there is none."""

    def own_image(self) -> str:
        """The image that this very function runs."""


class KubernetesRuns:
    """``RunsApi`` with the ``kubernetes`` client: in a pod as its service account, elsewhere by the kubeconfig."""

    def __init__(self, namespace: str | None = None) -> None:
        self._given = namespace

    @cached_property
    def _namespace(self) -> str:
        return self._given or _NAMESPACE.read_text().strip()

    @cached_property
    def _client(self) -> Any:
        from kubernetes import client, config

        with _translated():
            if "KUBERNETES_SERVICE_HOST" in os.environ:
                config.load_incluster_config()  # type: ignore[no-untyped-call]
            else:
                config.load_kube_config()  # type: ignore[no-untyped-call]
        return client.ApiClient()

    @cached_property
    def _workflows(self) -> Any:
        from kubernetes import client

        return client.CustomObjectsApi(self._client)

    @cached_property
    def _core(self) -> Any:
        from kubernetes import client

        return client.CoreV1Api(self._client)

    def create(self, workflow: Document) -> bool:
        """Create a Workflow."""
        return (
            _found(
                lambda: self._workflows.create_namespaced_custom_object(
                    GROUP, VERSION, self._namespace, PLURAL, dict(workflow), _request_timeout=SECONDS
                ),
                absent=409,
            )
            is not None
        )

    def workflow(self, name: str) -> Document | None:
        """A Workflow, or None."""
        return _found(
            lambda: self._workflows.get_namespaced_custom_object(
                GROUP, VERSION, self._namespace, PLURAL, name, _request_timeout=SECONDS
            )
        )

    def patch(self, name: str, changes: Document) -> bool:
        """Change a Workflow."""
        return (
            _found(
                lambda: self._workflows.patch_namespaced_custom_object(
                    GROUP, VERSION, self._namespace, PLURAL, name, dict(changes), _request_timeout=SECONDS
                )
            )
            is not None
        )

    def pods(self, workflow: str, run: str) -> Sequence[Document]:
        """A run's pods."""
        selector = f"workflows.argoproj.io/workflow={workflow},{RUN_LABEL}={run}"
        listed = _found(
            lambda: self._core.list_namespaced_pod(
                self._namespace, label_selector=selector, _request_timeout=SECONDS, _preload_content=False
            )
        )
        found: list[Document] = _decoded(listed)["items"]
        return sorted(found, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))

    def log(self, pod: str, container: str, lines: int | None, limit: int) -> bytes:
        """A container's log; while the container is waiting there is none, which Kubernetes answers with 400."""
        with _translated():
            from kubernetes.client.exceptions import ApiException

            try:
                answer = self._core.read_namespaced_pod_log(
                    pod, self._namespace, container=container, limit_bytes=limit, _request_timeout=SECONDS,
                    _preload_content=False, **({} if lines is None else {"tail_lines": lines}),
                )  # fmt: skip
            except ApiException as error:
                if error.status in (400, 404):
                    return b""
                raise
            data: bytes = answer.data
            return data

    def own_image(self) -> str:
        """The image of this pod's function container, as its spec has it."""
        name = os.environ.get("HOSTNAME", "")
        pod = _found(
            lambda: self._core.read_namespaced_pod(
                name, self._namespace, _request_timeout=SECONDS, _preload_content=False
            )
        )
        if pod is None:
            raise UnavailableEngine(f"there is no pod {name!r} in {self._namespace}: does this run as a function?")
        containers = _decoded(pod)["spec"]["containers"]
        return str(next(one["image"] for one in containers if one["name"] != "queue-proxy"))


def _decoded(answer: Any) -> Any:
    import json

    return json.loads(answer.data)


def _found(ask: Callable[[], Result], absent: int = 404) -> Result | None:
    from kubernetes.client.exceptions import ApiException

    with _translated():
        try:
            return ask()
        except ApiException as error:
            if error.status == absent:
                return None
            raise


@contextmanager
def _translated() -> Iterator[None]:
    """Exceptions of the client and of HTTP as ours."""
    import urllib3
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config import ConfigException

    try:
        yield
    except ApiException as error:
        said = _said(error)
        if error.status in _WRONG:
            raise RejectedConflict(f"Kubernetes does not take this run: {said}") from error
        raise UnavailableEngine(f"Kubernetes answered {error.status}: {said}") from error
    except ConfigException as error:
        raise UnavailableEngine(f"there is no cluster to ask: {error}") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnavailableEngine(f"Kubernetes does not answer: {error}") from error


def _said(error: Any) -> str:
    import json

    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)
