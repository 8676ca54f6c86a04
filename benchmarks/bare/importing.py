"""What the start of a translate variant is compared with: its packages imported, and an answer that says so.

Nothing of ours and no framework: the interpreter, the imports, and the standard library's server.
"""

import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module


def main(*packages: str) -> None:
    """Import packages, then answer every request with the seconds that took."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # as process 1 it would be ignored
    started = time.perf_counter()
    for package in packages:
        import_module(package)
    seconds = f"{time.perf_counter() - started:.3f}".encode()

    class Answer(BaseHTTPRequestHandler):
        protocol_version, wbufsize = "HTTP/1.1", 65536  # one packet for all of an answer

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Length", str(len(seconds)))
            self.end_headers()
            self.wfile.write(seconds)

        def log_message(self, *_: object) -> None:
            pass

    ThreadingHTTPServer(("", int(os.environ["PORT"])), Answer).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
