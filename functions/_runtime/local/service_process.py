"""The program behind one Service of ``polyglot up --processes``: a functions-framework app on an inherited socket.

    python -I -m functions._runtime.local.service_process <service> <main.py> <descriptor of a socket> <threads>

Quicker to its first answer than ``python -m functions_framework``, which imports gunicorn and binds when all is loaded.
"""

import argparse
import logging
import socket
from pathlib import Path


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("service")
    parser.add_argument("source", type=Path)
    parser.add_argument("descriptor", type=int)
    parser.add_argument("threads", type=int)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")

    from functions_framework import create_app

    from functions._runtime.local.server import Server

    application = create_app(target=arguments.service, source=str(arguments.source))
    Server(socket.socket(fileno=arguments.descriptor), application, arguments.threads).wait()


if __name__ == "__main__":
    main()
