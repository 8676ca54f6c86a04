"""The platform that is measured: ``polyglot up`` as a user starts it, in a process of its own."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import urllib3

from functions._backends import keys
from functions._backends.ethereum_admin import LedgerAdmin

POLYGLOT = (sys.executable, "-m", "functions")
AWS = {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark", "AWS_REGION": "us-east-1"}
"""The embedded store checks no signature."""


@dataclass(frozen=True)
class Site:
    """A running platform: its data folder, and all its settings."""

    data: Path
    settings: Mapping[str, str]

    @property
    def bucket(self) -> Path:
        """The bucket's folder in the file system."""
        return self.data / "bucket" / self.settings["POLYGLOT_BUCKET"]

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to find the platform and the store."""
        names = ("POLYGLOT_URL", "POLYGLOT_TOKEN", "POLYGLOT_S3_URL", "POLYGLOT_BUCKET")
        cache = {"POLYGLOT_CACHE": str(self.data / "client-cache")}
        return {**inherited(), **AWS, **cache, **{name: self.settings[name] for name in names}}

    def s3(self) -> Any:
        """boto3 as its users make it."""
        return boto3.client(
            "s3",
            endpoint_url=self.settings["POLYGLOT_S3_URL"],
            region_name=AWS["AWS_REGION"],
            aws_access_key_id=AWS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=AWS["AWS_SECRET_ACCESS_KEY"],
        )

    def register(self, place: Path) -> str:
        """``polyglot dataset register``: the dataset's UUID."""
        return command([*POLYGLOT, "dataset", "register", str(place)], self.environment).strip()

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        """One HTTP answer."""
        headers = {"Authorization": f"Bearer {self.settings['POLYGLOT_TOKEN']}"}
        return urllib3.request("GET", self.settings["POLYGLOT_URL"] + path, headers=headers, retries=False, timeout=60)

    def wait_for_contract(self, asset: str, seconds: float = 300) -> None:
        """Return when the ledger has an asset's contract."""
        end = time.monotonic() + seconds
        while self.get(f"/v1/assets/{asset}/contract").status != 200:
            if time.monotonic() > end:
                raise TimeoutError(f"no contract after {seconds} s: {self.get(f'/v1/assets/{asset}/status').data!r}")
            time.sleep(0.05)


def inherited() -> dict[str, str]:
    """Our environment, without what would have Python compile everything again in each process."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def command(argv: list[str], environment: Mapping[str, str]) -> str:
    """Run a command that must succeed; what it printed on its standard output."""
    ended = subprocess.run(argv, env=dict(environment), capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(argv[1:])} ended with {ended.returncode}:\n{ended.stderr}")
    return ended.stdout


@contextmanager
def running(data: Path, **environment: str) -> Iterator[Site]:
    """``polyglot up`` on a folder, until the end of the block."""
    log = data.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*POLYGLOT, "up", "--data", str(data), "--port", "0"],
            env={**inherited(), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(process, data / "env", log)
        yield Site(data, _settings(data))
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: "subprocess.Popen[bytes]", env: Path, log: Path) -> None:
    end = time.monotonic() + 60
    while not env.exists():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"polyglot up did not start:\n{log.read_text()}")
        time.sleep(0.05)


def _settings(data: Path) -> dict[str, str]:
    """What ``DIR/env`` says, and what functions need beyond it."""
    words = [word for line in (data / "env").read_text().splitlines() for word in shlex.split(line)[1:]]
    found = dict(word.split("=", 1) for word in words)
    contracts = LedgerAdmin(found["POLYGLOT_RPC_URL"], keys.create_admin(data / "keys")).initialize()
    return {
        **AWS,
        **found,
        "POLYGLOT_TENANT": "local",
        "POLYGLOT_BROKER_URL": found["POLYGLOT_URL"] + "/broker",
        "POLYGLOT_CHAIN_ID": str(contracts.chain_id),
        "POLYGLOT_EVIDENCE_LOG": contracts.evidence_log,
        "POLYGLOT_KEYS": str(data / "keys"),
        "POLYGLOT_DATA": str(data),
    }
