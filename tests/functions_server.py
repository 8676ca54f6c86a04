"""One function as a container runs it: functions-framework behind gunicorn in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3

from functions._runtime.local import loopback

NOWHERE = "http://127.0.0.1:9"
"""Nobody listens on the discard port."""

SETTINGS = {
    "POLYGLOT_TENANT": "acme",
    "POLYGLOT_BUCKET": "acme-models",
    "POLYGLOT_S3_URL": NOWHERE,
    "AWS_ACCESS_KEY_ID": "polyglot",
    "AWS_SECRET_ACCESS_KEY": "polyglot",
    "POLYGLOT_RPC_URL": NOWHERE,
    "POLYGLOT_CHAIN_ID": "1337",
    "POLYGLOT_LEDGER": f"0x{'1' * 40}",
    "POLYGLOT_EVIDENCE_LOG": f"0x{'2' * 40}",
    "POLYGLOT_BROKER_URL": NOWHERE,
    "POLYGLOT_ENGINE": "argo",
    "THREADS": "4",
}


class Served:
    """The process; ``printed`` is all that it wrote, once it has ended."""

    def __init__(self, service: str, environment: dict[str, str]) -> None:
        self.url = f"http://127.0.0.1:{environment['PORT']}"
        self.printed = ""
        target = {"FUNCTION_TARGET": service, "HOST": "127.0.0.1"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "functions._runtime.serve"],
            env={"PATH": os.environ["PATH"], "HOME": environment["HOME"], **SETTINGS, **target, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self) -> None:
        """Until it answers."""
        end = time.monotonic() + 30
        while self._process.poll() is None:
            try:
                urllib3.request("GET", f"{self.url}/v1/openapi.json", retries=False, timeout=5)
            except urllib3.exceptions.HTTPError:
                assert time.monotonic() < end
                time.sleep(0.05)
            else:
                return

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        answer = urllib3.request("GET", self.url + path, headers=headers, retries=False, timeout=30)
        return answer.status, json.loads(answer.data)

    def post(self, headers: dict[str, str], body: bytes) -> int:
        return urllib3.request("POST", self.url, headers=headers, body=body, retries=False, timeout=30).status

    def ended(self) -> int:
        """Wait until it ends by itself; returns its exit status."""
        self.printed += self._process.communicate(timeout=30)[0]
        return self._process.returncode

    def stop(self) -> float:
        """End it as Kubernetes does; returns the seconds that took."""
        begun = time.monotonic()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self.ended()
        return time.monotonic() - begun


@contextmanager
def serving(service: str, **environment: str) -> Iterator[Served]:
    """A function that answers, or that has ended because it cannot."""
    import tempfile

    with tempfile.TemporaryDirectory() as home:
        served = Served(service, {"PORT": str(loopback.free_port()), "HOME": home, **environment})
        try:
            served.wait()
            yield served
        finally:
            served.stop()
