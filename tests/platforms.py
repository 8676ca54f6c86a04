"""A platform for tests: the real embedded parts and the real functions, and the command line pointed at them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from functions._runtime.embedded import EmbeddedHooks
from functions._runtime.local.broker import Delivery
from functions._runtime.local.platform import Platform

POLYGLOT = (sys.executable, "-m", "functions")
COPY_MODEL = """\
import os, pathlib, shutil, sys
print("training with", " ".join(sys.argv[1:]))
data = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"])
for path in data.glob("model.*"):
    shutil.copyfile(path, pathlib.Path(os.environ["SM_MODEL_DIR"], path.name))
pathlib.Path(os.environ["SM_OUTPUT_DIR"], "metrics.json").write_text('{"accuracy": 0.5}')
"""
"""A training that takes no time: its dataset holds the model."""


@dataclass(frozen=True)
class Ran:
    """One command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Site:
    """A running platform, with its data folder and what its broker delivered."""

    data: Path
    platform: Platform
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def settings(self) -> Mapping[str, str]:
        return self.platform.settings

    @property
    def bucket(self) -> Path:
        """The bucket's folder in the file system."""
        return self.data / "bucket" / "polyglot"

    def files(self, asset: str) -> Path:
        return self.bucket / "assets" / asset / "files"

    def run(self, *arguments: str, timeout: float = 180, **environment: str) -> Ran:
        """Run a polyglot command against this platform."""
        names = ("POLYGLOT_URL", "POLYGLOT_TOKEN")
        pointed = {name: self.settings[name] for name in names}
        cache = {"POLYGLOT_CACHE": str(self.data / "client-cache")}
        ended = subprocess.run(
            [*POLYGLOT, *arguments],
            env={**os.environ, **pointed, **cache, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Ran(ended.returncode, ended.stdout.strip(), ended.stderr)

    def ok(self, *arguments: str, timeout: float = 180) -> str:
        """Run a polyglot command that must succeed; returns what it printed."""
        ran = self.run(*arguments, timeout=timeout)
        assert ran.status == 0, f"polyglot {' '.join(arguments)} ended with {ran.status}:\n{ran.err}"
        return ran.out

    def http(
        self, method: str, path: str, body: object = None, token: str | None = None, **headers: str
    ) -> tuple[int, Any, Mapping[str, str]]:
        """One HTTP request; returns status, JSON (or bytes) and headers."""
        sent = {"Authorization": f"Bearer {self.settings['POLYGLOT_TOKEN'] if token is None else token}", **headers}
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = urllib3.request(
            method,
            self.settings["POLYGLOT_URL"] + path,
            body=data,
            headers=sent,
            redirect=False,
            retries=False,
            timeout=60,
        )
        is_json = "json" in answer.headers.get("Content-Type", "")
        return answer.status, json.loads(answer.data) if is_json else answer.data, answer.headers

    def announce(self, headers: Mapping[str, str], body: bytes = b"{}", to: str = "/broker") -> int:
        """Post an event to the broker, or to a function (``/functions/<service>``); returns the status."""
        answer = urllib3.request(
            "POST", self.settings["POLYGLOT_URL"] + to, body=body, headers=dict(headers), timeout=300
        )
        return answer.status

    def status(self, asset: str) -> Any:
        return self.http("GET", f"/v1/assets/{asset}/status")[1]

    def wait_for(self, asset: str, states: Sequence[str] = ("complete",), seconds: float = 90) -> Any:
        """Wait until an asset's chain is in one of some states."""
        end = time.monotonic() + seconds
        while True:
            found = self.status(asset)
            if found.get("state") in states:
                return found
            assert time.monotonic() < end, f"{asset} is {found} after {seconds} s, expected {states}"
            time.sleep(0.1)

    def objects(self, prefix: str = "assets") -> dict[str, bytes]:
        """Every stored object below a prefix with its bytes, apart from logs."""
        root = self.bucket / prefix
        return {
            path.relative_to(self.bucket).as_posix(): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }


def started(data: Path, processes: bool = False, environ: Mapping[str, str] = os.environ, **options: Any) -> Site:
    """A platform started on a folder; stop it with ``site.platform.stop()``."""
    deliveries: list[Delivery] = []
    hooks = EmbeddedHooks(data, processes, environ=environ)
    platform = Platform(data, hooks, port=0, tap=deliveries.append, environ=environ, **options)
    platform.start()
    return Site(data, platform, deliveries)


def image_folder(folder: Path, script: str = COPY_MODEL, requirements: str = "") -> Path:
    """An image folder with a training script."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.py").write_text(script)
    (folder / "requirements.txt").write_text(requirements)
    (folder / "Containerfile").write_text("FROM scratch\n")
    return folder
