"""What the embedded platform itself answers where no function does, as RFC 9457 problem documents.

>>> json.loads(document(404, "there is no /v2"))["title"]
'Not Found'
"""

import json
from collections.abc import Iterable
from http import HTTPStatus
from wsgiref.types import StartResponse

CONTENT_TYPE = "application/problem+json"


def document(status: int, detail: str) -> bytes:
    """A problem document (https://www.rfc-editor.org/rfc/rfc9457)."""
    title = HTTPStatus(status).phrase
    return json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}).encode()


def answer(start_response: StartResponse, status: int, detail: str, **headers: str) -> Iterable[bytes]:
    """A WSGI answer with a problem document."""
    body = document(status, detail)
    fields = [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body))), *headers.items()]
    start_response(f"{status} {HTTPStatus(status).phrase}", fields)
    return [body]
