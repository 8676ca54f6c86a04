"""What our containers of a run do: ``python -I -m functions._backends.argo stage|keep|announce``.

Settings and the run come by the environment. The last words of a container that fails are its reason, which Kubernetes
takes from ``/dev/termination-log``. Exit status 75 means that trying again may help; any other that it will not.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from functions._backends.argo import pod
from functions._backends.argo.workflow import ANNOUNCE, KEEP, PASSING, STAGE
from functions._backends.runs.documents import decode
from functions._domain.errors import Rejected, Unavailable
from functions._domain.ports import Run

_LAST_WORDS = Path("/dev/termination-log")
_STEPS: Mapping[str, Callable[[Run, str, Mapping[str, str]], None]] = {
    STAGE: pod.stage,
    KEEP: pod.keep,
    ANNOUNCE: pod.announce,
}


def main() -> None:
    """Do one step."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))  # process 1 ignores it otherwise
    run = decode(json.loads(os.environ["POLYGLOT_RUN"]))
    try:
        _STEPS[sys.argv[1]](run, os.environ["POLYGLOT_EXECUTION"], os.environ)
    except Rejected as error:
        _give_up(str(error), 1)
    except Unavailable as error:
        _give_up(str(error), PASSING)


def _give_up(reason: str, status: int) -> NoReturn:
    sys.stderr.write(f"{reason}\n")
    if _LAST_WORDS.exists():
        _LAST_WORDS.write_text(reason[:4000])
    raise SystemExit(status)


if __name__ == "__main__":
    main()
