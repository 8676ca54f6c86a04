"""A bench for the process trainer: a folder as the store, a server that collects events, and scripts to train with."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

from functions._backends.process import ProcessEngine
from functions._domain.digests import digest_of
from functions._domain.inventory import line
from functions._domain.ports import Channel, Run, RunState
from tests.fakes import FolderStorage

SUPERVISOR = (sys.executable, "-I", str(Path(__file__).parent / "folder_supervisor.py"))
SECRET = "the-secret-of-the-store"
MODEL = "import os, sys, time, pathlib\nmodel = pathlib.Path(os.environ['SM_MODEL_DIR'])\n"


@dataclass(frozen=True)
class Case:
    script: str
    changes: Mapping[str, object] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


class Collecting(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.events.append(({name.lower(): value for name, value in self.headers.items()}, json.loads(body)))  # type: ignore[attr-defined]
        self.send_response(202)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@dataclass
class Lab:
    folder: Path
    storage: FolderStorage
    server: ThreadingHTTPServer | None = None
    runs: dict[str, Run] = field(default_factory=dict)

    def engine(self, **settings: str) -> ProcessEngine:
        given = {
            "POLYGLOT_BROKER_URL": f"http://127.0.0.1:{self.server.server_port if self.server else 0}",
            "POLYGLOT_TENANT": "acme",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "TEST_BUCKET": str(self.storage.folder),
        }
        return ProcessEngine(self.folder, {**given, **settings}, disk=16 << 20, supervisor=SUPERVISOR)

    def run(self, case: Case) -> Run:
        files = {"train.py": MODEL + case.script, "Containerfile": "FROM scratch\n", **case.files}
        encoded = {path: text.encode() for path, text in files.items()}
        image = self._inventory(encoded)[1]
        for path, data in encoded.items():
            self.storage.create(f"images/{image.removeprefix('sha256:')}/{path}", data)
        asset = uuid4()
        run = Run(
            f"train-{asset}-1", asset, uuid4(), 1, image, ("train",), {}, (self.dataset(),), 1, 1 << 30, 0, 60
        )  # fmt: skip
        return replace(run, **case.changes)  # type: ignore[arg-type]

    def dataset(self, channel: str = "train") -> Channel:
        dataset, files = uuid4(), {"sub/x.csv": b"1,2\n", "z.csv": b"", "y.csv": b"3,4\n"}
        inventory, digest = self._inventory(files)
        for path, data in files.items():
            self.storage.create(f"assets/{dataset}/files/{path}", data)
        self.storage.create(f"assets/{dataset}/inventory.jsonl", inventory)
        return Channel(channel, dataset, digest)

    def _inventory(self, files: Mapping[str, bytes]) -> tuple[bytes, str]:
        lines = [line(path, len(data), digest_of(data)[7:]) for path, data in sorted(files.items())]
        return b"".join(lines), digest_of(b"".join(lines))

    def submit(self, case: Case) -> Run:
        run = self.run(case)
        self.engine().submit(run)
        return run

    def ended(self, run: Run) -> RunState:
        state: RunState | None = until(lambda: (found := self.engine().state(run.name)).phase != "running" and found)
        assert state is not None
        return state

    def result(self, run: Run, path: str) -> bytes | None:
        return self.storage.read(f"runs/{run.asset}/{self.ended(run).execution}/{path}")

    def events(self, run: Run) -> list[tuple[dict[str, str], dict[str, object]]]:
        return [event for event in self.server.events if event[0]["ce-subject"] == str(run.asset)]  # type: ignore[attr-defined]


def until(look: Callable[[], Any], seconds: float = 30) -> Any:
    """What ``look`` finds, as soon as it is something."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found
