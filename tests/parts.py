"""What tests of the embedded parts share: small functions in place of ours, and ways to look at processes."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import urllib3

from functions._runtime.local import chain
from functions._runtime.local.platform import Addresses
from functions.declaration import FUNCTIONS


def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    """Whether any of a process's threads runs: the first may have ended while others hold its files open."""
    try:
        ended = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return not ended or len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def request(method: str, url: str, body: bytes = b"", **headers: str) -> urllib3.BaseHTTPResponse:
    with urllib3.PoolManager() as pool:
        return pool.request(method, url, body=body, headers=headers, retries=False, redirect=False, timeout=10)


def echo(name: str) -> WSGIApplication:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        shown = {
            "service": name,
            "method": environ["REQUEST_METHOD"],
            "path": environ["PATH_INFO"],
            "query": environ["QUERY_STRING"],
            "body": body.decode(),
        }
        answer = json.dumps(shown).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
        return [answer]

    return application


class Hooks:
    """Functions that echo, and a diary of what was called."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.fail = False

    def prepare(self, addresses: Addresses) -> Mapping[str, str]:
        assert chain.ask(addresses.rpc_url, "eth_chainId")
        assert request("HEAD", f"{addresses.s3_url}/{addresses.bucket}").status == 200
        self.diary.append("prepare")
        if self.fail:
            raise RuntimeError("no ledger today")
        return {"POLYGLOT_TOKEN": "it's secret", "POLYGLOT_LEDGER": "0x1"}

    def make_apps(self, settings: Mapping[str, str]) -> Mapping[str, WSGIApplication]:
        assert settings["POLYGLOT_BROKER_URL"].endswith("/broker")
        self.diary.append("make_apps")
        return {service: self.take for function in FUNCTIONS for service in function.services}

    def take(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.diary.append(environ["SCRIPT_NAME"] or environ["PATH_INFO"])
        start_response("204 No Content", [])
        return []

    def recover(self) -> None:
        self.diary.append("recover")

    def sweep(self) -> None:
        self.diary.append("sweep")
        raise RuntimeError("a sweep that fails is tried again")
