"""Uploading: ``polyglot dataset register`` beside boto3, both as whole commands, to the same server.

Ours digests what it sends, has each file presigned by the platform, and ends when the platform has accepted the
registration; the platform then reads everything again, seals it and carries it to the ledger, which is timed apart.
"""

import random
import shutil
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.site import Site, command, running
from benchmarks.sizes import Sizes
from benchmarks.table import Row, in_turns, settle


def rows(sizes: Sizes, scratch: Path) -> list[Row]:
    """One large file; many small ones."""
    large, folder = scratch / "large.bin", scratch / "small"
    fill(large, sizes.large)
    make_files(folder, sizes.files, sizes.file)
    gigabytes, kilobytes = f"{sizes.large / 1e9:g} GB", f"{sizes.file / 1000:g} kB"
    one = f"upload and accept one file of {gigabytes}, against boto3 upload_file"
    many = f"upload and accept {sizes.files:,} files of {kilobytes}, against put_object from 10 boto3 threads"
    with running(scratch / "upload") as site:
        found = [
            _row(_Upload(site, large, "file"), one, 0.9, sizes.rounds),
            _row(_Upload(site, folder, "folder"), many, 0.8, sizes.rounds),
        ]
    large.unlink()
    shutil.rmtree(folder)
    return found


@dataclass
class _Upload:
    """The same files, sent by us and by them again and again."""

    site: Site
    place: Path
    what: str
    until_contract: list[float] = field(default_factory=list)
    without_start: list[float] = field(default_factory=list)

    def warm(self) -> None:
        """Once each, uncounted: compiled modules, a connected chain."""
        self.ours(), self.theirs()
        self.until_contract.clear()
        self.without_start.clear()

    def ours(self) -> float:
        """Seconds of the command, until the platform has accepted."""
        settle()
        started = time.perf_counter()
        asset = self.site.register(self.place)
        accepted = time.perf_counter() - started
        self.site.wait_for_contract(asset)
        self.until_contract.append(time.perf_counter() - started)
        shutil.rmtree(self.site.bucket / "assets" / asset / "files")
        return accepted

    def theirs(self) -> float:
        """Seconds of boto3's command."""
        settle()
        started = time.perf_counter()
        argv = [sys.executable, "-m", "benchmarks.boto3_upload", self.what, str(self.place), "theirs"]
        inner = command(argv, self.site.environment)
        seconds = time.perf_counter() - started
        self.without_start.append(float(inner))
        written = self.site.bucket / "theirs"
        written.unlink() if written.is_file() else shutil.rmtree(written)
        return seconds


def _row(upload: _Upload, what: str, least: float, rounds: int) -> Row:
    upload.warm()
    pair = in_turns(upload.ours, upload.theirs, rounds)
    contract, inner = statistics.median(upload.until_contract), statistics.median(upload.without_start)
    note = (
        f"whole commands, medians of {rounds} in turns; contract on the ledger {contract:.2f} s after the start of the "
        f"command; boto3 without the start of Python {inner:.2f} s (ratio {inner / statistics.median(pair.ours):.2f})"
    )
    return pair.row(what, least=least, note=note)


def fill(path: Path, size: int) -> None:
    """A file of random bytes, always the same."""
    source = random.Random(size)
    with path.open("wb") as file:
        while size:
            size -= file.write(source.randbytes(min(size, 1 << 24)))


def make_files(folder: Path, count: int, size: int) -> None:
    """A folder of random files, a hundred to a folder."""
    source = random.Random(count)
    for number in range(count):
        path = folder / f"{number // 100:03d}" / f"{number % 100:02d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.randbytes(size))
