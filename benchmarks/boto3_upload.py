"""The other side of the upload rows, as commands that a boto3 user would write.

    python -m benchmarks.boto3_upload file PATH KEY          upload_file
    python -m benchmarks.boto3_upload folder PATH PREFIX     put_object from ten threads

Prints the seconds that the upload itself took, without the start of Python and the imports.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

THREADS = 10


def main() -> None:
    """Upload what the arguments name."""
    what, place, key = sys.argv[1:]
    started = time.perf_counter()
    config = Config(max_pool_connections=THREADS)
    client = boto3.client("s3", endpoint_url=os.environ["POLYGLOT_S3_URL"], region_name="us-east-1", config=config)
    bucket = os.environ["POLYGLOT_BUCKET"]
    if what == "file":
        client.upload_file(place, bucket, key)
    else:
        upload_folder(client, bucket, Path(place), key)
    print(time.perf_counter() - started)


def upload_folder(client: Any, bucket: str, folder: Path, prefix: str) -> None:
    """Every file below a folder, ten at a time."""

    def put(path: Path) -> None:
        client.put_object(Bucket=bucket, Key=f"{prefix}/{path.relative_to(folder).as_posix()}", Body=path.read_bytes())

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(put, (path for path in folder.rglob("*") if path.is_file())))


if __name__ == "__main__":
    main()
