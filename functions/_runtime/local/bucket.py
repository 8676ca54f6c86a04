"""The embedded bucket: an S3 interface on a folder, as a child.

    >>> bucket = start(Path("data/bucket"), Path("data/logs"))  # doctest: +SKIP
    >>> bucket.url                                               # doctest: +SKIP
    'http://127.0.0.1:40123'

Objects are plain files: ``assets/<uuid>/files/…`` is seen below ``data/bucket/polyglot/``. Signatures are not checked,
so any access key opens it; it listens on loopback only.
"""

import http.client
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from functions._runtime.local import child, loopback

NAME = "polyglot"
"""The one bucket."""


@dataclass(frozen=True)
class Bucket:
    """A running bucket server: its S3 endpoint and its process."""

    url: str
    child: child.Child

    def stop(self) -> None:
        """End it; what was written stays."""
        self.child.stop()


def start(folder: Path, logs: Path, patience: float = 10.0) -> Bucket:
    """Serve ``folder`` on a free port, and make the bucket. Raises UnavailablePart where it does not answer."""
    (folder / NAME).mkdir(parents=True, exist_ok=True)
    with loopback.listen() as listening:
        url = loopback.address(listening)
        argv = [sys.executable, "-I", "-m", "functions._runtime.local.bucket_server"]
        started = child.start(
            "the bucket",
            [*argv, str(folder), str(listening.fileno())],
            logs / "bucket.log",
            child.plain_environment(),
            [listening.fileno()],
        )
    bucket = Bucket(url, started)
    try:
        _wait(bucket, patience)
    except BaseException:
        bucket.stop()
        raise
    return bucket


def _wait(bucket: Bucket, patience: float) -> None:
    """Ask for the bucket until it answers; the socket listens already, so one question is enough unless it died."""
    end = time.monotonic() + patience
    while True:
        connection = http.client.HTTPConnection(urlsplit(bucket.url).netloc, timeout=patience)
        try:
            connection.request("HEAD", f"/{NAME}")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError as error:
            if not bucket.child.alive or time.monotonic() > end:
                raise bucket.child.failure() from error
            time.sleep(0.02)
        finally:
            connection.close()
