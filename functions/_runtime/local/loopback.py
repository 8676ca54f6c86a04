"""Sockets on loopback that cannot be lost to somebody else between choosing a port and using it.

>>> with listen() as socket: socket.getsockname()[0]
'127.0.0.1'
"""

import errno
import socket

HOST = "127.0.0.1"


def listen(port: int = 0) -> socket.socket:
    """A listening socket on ``port``, or on a free one where that is taken or 0.

    It listens already, so clients queue instead of being refused while the server behind it starts.
    """
    try:
        return _listen(port)
    except OSError as error:
        if port == 0 or error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        return _listen(0)


def address(listening: socket.socket) -> str:
    """The ``http://`` URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://{host}:{port}"


def free_port() -> int:
    """A port that was free a moment ago, for programs that can only be given a number."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _listen(port: int) -> socket.socket:
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(1024)
    except BaseException:
        listening.close()
        raise
    return listening
