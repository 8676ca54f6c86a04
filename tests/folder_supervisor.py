"""The supervisor of ``functions._backends.process`` on a folder instead of an S3 server; started by its tests."""

import json
import sys
from pathlib import Path

from functions._backends.process.supervisor import supervise
from tests.fakes import FolderStorage

settings = json.load(sys.stdin)
supervise(Path(sys.argv[1]), settings, FolderStorage(Path(settings["TEST_BUCKET"])))
