"""What tests of careless and hostile use share: an HTTP client that is not ours, tokens, events, what to expect."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import urllib3

from functions._domain.digests import canonical, digest_of
from functions._domain.tokens import SCHEMA
from tests.platforms import Ran, Site

PICKLE = b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94."
LIGHTGBM = b"tree\nversion=v4\n"
"""What counts as a model, and as one that its translator finds cut off, so that its chain ends soon."""
NOBODY = "00000000-0000-4000-8000-000000000000"


def sha(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def refused(ran: Ran, *words: str, status: int = 2) -> None:
    """A command ended as it should, in words for a person, on stderr alone."""
    assert ran.status == status, ran.err
    assert "functions/" not in ran.err
    for word in words:
        assert word in ran.err


def problem(answer: tuple[int, Any, Mapping[str, str]], status: int, *words: str) -> Any:
    """An answer is a problem document of this status, whose detail has these words."""
    found, document, headers = answer
    assert found == status, document
    assert headers["Content-Type"] == "application/problem+json"
    assert document["status"] == status
    for word in words:
        assert word in document["detail"]
    return document


def folder_of(place: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return place


def nothing_is_registered(site: Site, asset: str) -> None:
    """No record, no inventory, no authorization, no contract; and the sweep has nothing left to do for it."""
    kept = {key.split("/", 2)[2].split("/")[0] for key in site.objects(f"assets/{asset}")}
    assert kept <= {"files", "journal"}
    assert site.http("GET", f"/v1/assets/{asset}/contract")[0] == 404
    site.http("POST", "/v1/reconcile")
    assert not site.objects(f"open/{asset}")


def named(site: Site, name: str) -> str:
    """The one asset of this name."""
    (found,) = site.http("GET", f"/v1/assets?name={name}")[1]["assets"]
    return str(found["id"])


def footprint(site: Site) -> set[str]:
    """All that a request could leave behind, apart from what the sweep is about to remove."""
    assert site.platform.broker.drain(30)
    return {key for key in site.objects("") if not key.startswith("open/")}


class Upload:
    """An upload through HTTP, as somebody else's client would do it."""

    def __init__(self, site: Site, kind: str = "dataset") -> None:
        self.site, self.kind = site, kind
        status, answer, _ = site.http("POST", "/v1/uploads", {"kind": kind})
        assert status == 202
        self.id: str = answer["asset"]

    def announce(self, files: Mapping[str, bytes], page: int = 0) -> tuple[int, Any, Mapping[str, str]]:
        entries = [{"path": path, "size": len(data), "sha256": sha(data)} for path, data in files.items()]
        return self.site.http("POST", f"/v1/uploads/{self.id}/files", {"page": page, "files": entries})

    def put(self, presigned: Mapping[str, Any], data: bytes) -> int:
        one = presigned["put"]
        return urllib3.request(one["method"], one["url"], body=data, headers=one["headers"], timeout=60).status

    def send(self, files: Mapping[str, bytes], instead: Mapping[str, bytes | None] | None = None) -> None:
        """Send files; ``instead`` names those of which other bytes, or none, are sent."""
        status, answer, _ = self.announce(files)
        assert status == 200, answer
        for presigned in answer["files"]:
            path = presigned["path"]
            data = {**files, **(instead or {})}[path]
            if data is not None:
                assert self.put(presigned, data) == 200

    def register(self, **body: object) -> tuple[int, Any, Mapping[str, str]]:
        route = {"dataset": "/v1/datasets", "trained-model": "/v1/trained-models"}[self.kind]
        return self.site.http("POST", route, {"upload": self.id, **body})


def make_token(site: Site, subject: str, document: object = None, *roles: str) -> str:
    token = f"token-{uuid4()}"
    known = {"schema": SCHEMA, "subject": subject, "roles": list(roles)} if document is None else document
    place = site.bucket / "tokens" / f"{digest_of(token.encode()).removeprefix('sha256:')}.json"
    place.write_bytes(canonical(known))
    return token


def event(name: str, subject: str, identifier: str = "", **attributes: str) -> dict[str, str]:
    return {
        "ce-specversion": "1.0",
        "ce-type": f"io.polyglot.{name}.v1",
        "ce-source": "/anybody",
        "ce-id": identifier or str(uuid4()),
        "ce-subject": subject,
        "Content-Type": "application/json",
        **{f"ce-{name}": value for name, value in attributes.items()},
    }
