"""Serving: the program of a Service's container. functions-framework makes the application, gunicorn serves it.

    FUNCTION_TARGET=deploy PORT=8080 python -P -m functions._runtime.serve

The framework's own program does the same, but gives what is being answered when a pod is stopped gunicorn's 30 s, and
no way to say otherwise. Knative waits 30 s for a moment without new requests before it stops a container
(https://github.com/knative/serving/blob/main/pkg/queue/sharedmain/main.go), and kills it after the Service's limit: so
long it may take here. A step that is cut off all the same is delivered again.
"""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from functions.declaration import TOKEN_LIMIT, Function, by_name

MAIN = Path(__file__).with_name("main.py")


def main() -> None:
    """Serve until stopped."""
    # Process 1 has no default for signals: one that comes while we load would be lost.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    target = os.environ.get("FUNCTION_TARGET", "")
    try:
        function = by_name(target)
    except KeyError as error:
        sys.exit(f"FUNCTION_TARGET: {error.args[0]}")

    from functions_framework import create_app
    from gunicorn.app.base import BaseApplication

    application, chosen = (
        create_app(target, os.environ.get("FUNCTION_SOURCE") or str(MAIN)),
        options(function, os.environ),
    )

    class Served(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            for name, value in chosen.items():
                self.cfg.set(name, value)

        def load(self) -> object:
            return application

    Served().run()


def options(function: Function, values: Mapping[str, str]) -> dict[str, Any]:
    """How gunicorn serves a function (https://docs.gunicorn.org/en/stable/settings.html).

    Nothing is killed for taking long: who asks has a limit, and the Service has one. One worker with threads, since
    Knative counts requests and starts pods.
    """
    return {
        "bind": f"{values.get('HOST') or '0.0.0.0'}:{values.get('PORT') or 8080}",  # noqa: S104 - a pod's own address
        "workers": 1,
        "threads": int(values.get("THREADS") or function.concurrency + 1),
        "timeout": 0,
        "graceful_timeout": function.timeout,
        "loglevel": "error",
        "limit_request_line": 0,
        "limit_request_field_size": TOKEN_LIMIT + 1024,  # with what stands before it; the default is half of that
        "control_socket_disable": True,
    }


if __name__ == "__main__":
    main()
