"""Scripts that need a framework run in a process of their own: tests import none, and no process imports two."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def in_lab(script: str, *arguments: object, **environment: str) -> Any:
    """What a script's last line says, as JSON; None where it says nothing."""
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        path = Path(folder) / "lab.py"  # a file, since TensorFlow reads the source of what it compiles
        path.write_text(script)
        command = [sys.executable, "-W", "ignore", str(path), *map(str, arguments)]
        ended = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-4000:]
    lines = ended.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines else None
