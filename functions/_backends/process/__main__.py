"""The supervisor's entry: ``python -I -m functions._backends.process RUNFOLDER``, settings as JSON on stdin."""

import json
import sys
from pathlib import Path

from functions._backends.process.supervisor import supervise
from functions._backends.s3 import S3Storage


def main() -> None:
    """Supervise one run."""
    settings = json.load(sys.stdin)
    supervise(Path(sys.argv[1]), settings, S3Storage.from_settings(settings))


if __name__ == "__main__":
    main()
