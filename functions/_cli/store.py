"""The object store as a client sees it: presigned requests, sent exactly as the platform wrote them."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions._cli.failures import Failed
from functions._domain.errors import Unavailable

if TYPE_CHECKING:
    import urllib3

TRIES = 6
"""How often a request is sent where the store does not answer or is busy."""


class UnavailableAccess(Unavailable):
    """The right to send this request has ended (expired, or its upload is gone): ask the platform for a new one."""


class UnavailableUpload(UnavailableAccess):
    """The store no longer knows the upload that a part is of, nor its other parts."""


class Store:
    """Sends presigned requests over kept-alive connections. Safe to use from several threads."""

    def __init__(self, connections: int) -> None:
        import urllib3

        timeout = urllib3.Timeout(connect=10, read=120)
        self._pools = urllib3.PoolManager(maxsize=connections, block=False, timeout=timeout)

    def put(self, presigned: Mapping[str, Any], body: bytes) -> str:
        """Send a body; returns its ETag, or an empty string where an object is there from an earlier try."""
        response = self._patiently(presigned["method"], presigned["url"], dict(presigned.get("headers") or {}), body)
        if response.status == 412:
            return ""
        if response.status >= 300:
            raise _refused(response)
        return response.headers.get("ETag", "")

    def get(self, url: str, start: int = 0) -> "urllib3.BaseHTTPResponse":
        """The answer to a GET, its body unread, from a byte on; 200 where the store ignores the range."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        response = self._patiently("GET", url, headers, None, preload_content=False)
        if response.status == 404:
            response.drain_conn()
            raise Failed("not in the store")
        if response.status >= 300:
            raise _refused(response)
        return response

    def _patiently(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, **options: Any
    ) -> "urllib3.BaseHTTPResponse":
        import urllib3

        for attempt in range(1, TRIES + 1):
            try:
                response = self._pools.request(
                    method, url, headers=headers, body=body, retries=False, redirect=False, **options
                )
                if response.status < 500:
                    return response
                trouble = f"it answered {response.status}"
                response.drain_conn()
            except urllib3.exceptions.HTTPError as error:
                trouble = str(error)
            if attempt < TRIES:
                time.sleep(min(0.1 * 2**attempt, 3.0))
        raise Unavailable(f"the object store does not answer ({trouble}); the same command goes on where it was")


def _refused(response: "urllib3.BaseHTTPResponse") -> Unavailable:
    text = response.data[:600].decode(errors="replace")
    if "NoSuchUpload" in text:
        return UnavailableUpload(f"the object store no longer knows the parts of this upload: {text}")
    if response.status == 403:
        return UnavailableAccess(f"the object store refused a presigned request ({response.status}): {text}")
    return Unavailable(f"the object store answered {response.status}: {text}")
