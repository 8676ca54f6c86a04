"""Pushing an image folder: its files are few and small, and its digest is its inventory's."""

from pathlib import Path

from functions._cli.client import Client
from functions._cli.failures import Failed
from functions._cli.listing import LocalFile, Reader, files_of
from functions._cli.store import Store
from functions._domain.errors import RejectedContent
from functions._domain.inventory import InventoryLine, digest_of_lines
from functions._domain.requests import PAGE

LARGEST = 64 * 2**20
"""The most bytes of one file of an image folder: code, not data."""


def push(client: Client, folder: Path) -> str:
    """Push a folder and return its digest; files that are there already are not sent again.

    Raises:
        RejectedContent: not a folder, too many files, or one that is data rather than code.
        Failed: the platform's digest is not ours.
    """
    if not folder.is_dir():
        raise RejectedContent(f"{folder} is no folder: an image folder holds Containerfile, train.py, requirements.txt")
    files = [file for file in files_of(folder) if "__pycache__" not in file.path.split("/")]
    if len(files) > PAGE:
        raise RejectedContent(f"{folder} holds {len(files)} files, an image folder at most {PAGE}: leave data out")
    lines = [_digested(file)[0] for file in files]
    entries = [{"path": line.path, "size": line.size, "sha256": f"sha256:{line.sha256}"} for line in lines]
    answer = client.post("/v1/images", {"files": entries})
    ours = digest_of_lines(lines)
    if answer["digest"] != ours:
        raise Failed(f"the platform says that {folder} is {answer['digest']}, its files make {ours}: nothing was sent")
    store = Store(connections=1)
    for file, line, presigned in zip(files, lines, answer["files"], strict=True):
        if presigned.get("put") and not presigned.get("present"):
            again, body = _digested(file)
            if again != line:
                raise Failed(f"{file.source} changed while it was uploaded: run the command again")
            store.put(presigned["put"], body)
    return ours


def _digested(file: LocalFile) -> tuple[InventoryLine, bytes]:
    if file.size > LARGEST:
        raise RejectedContent(f"{file.source} is larger than {LARGEST // 2**20} MiB: register data as a dataset")
    reader = Reader(file)
    try:
        body = reader.read(file.size)
        return InventoryLine(file.path, file.size, reader.finish()), body
    finally:
        reader.close()
