"""A small S3 server for the memory rows: what is too much for the embedded one to hold is made up as it is asked for.

    python -m benchmarks.synthetic_store DESCRIPTOR FOLDER PREFIX COUNT

Below ``PREFIX`` there are ``COUNT`` objects that exist nowhere; ``made_up_path`` and ``made_up_body`` say which.
Everything else is kept in ``FOLDER``, each object a file named by its quoted key, zeros as holes. It knows the requests
that the platform and its client make, and checks no signature.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import md5
from itertools import islice
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

CHUNK = 1 << 20
PAGE = 1000
DATE, HTTP_DATE = "2026-01-01T00:00:00.000Z", "Thu, 01 Jan 2026 00:00:00 GMT"


def made_up_path(number: int) -> str:
    """The path of a made-up object; they sort by number."""
    return f"part-{number // 1000:03d}/a-file-of-some-dataset-{number % 1000:03d}.txt"


def made_up_body(number: int) -> bytes:
    """The bytes of a made-up object."""
    return b"%d\n" % number


def made_up_number(path: str) -> int:
    """The number of a made-up object.

    >>> made_up_number(made_up_path(123456))
    123456
    """
    folder, name = path.split("/")
    return int(folder[-3:]) * 1000 + int(name[-7:-4])


def kept(folder: Path, key: str) -> Path:
    """The file of an object."""
    return folder / quote(key, safe="")


@dataclass(frozen=True)
class Answer:
    """A status, headers, and a body: bytes, or a file's."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    source: Path | None = None

    @property
    def length(self) -> int:
        """The length of the body."""
        return self.source.stat().st_size if self.source else len(self.body)


@dataclass(frozen=True)
class Store:
    """The objects: made up below ``prefix``, or kept in a folder."""

    folder: Path
    prefix: str
    count: int
    parts: dict[str, dict[int, tuple[int, bytes]]] = field(default_factory=dict)

    def answer(
        self, method: str, key: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """What S3 would answer."""
        match method:
            case "GET" if "list-type" in query:
                return self._list(query)
            case "GET" | "HEAD":
                return self._object(key)
            case "PUT" if "uploadId" in query:
                return self._put_part(key, int(query["partNumber"]), body)
            case "PUT":
                return self._put(key, body, "if-none-match" in headers)
            case "POST" if "uploads" in query:
                self.parts[key] = {}
                return _xml("InitiateMultipartUploadResult", f"<UploadId>{_tag(key.encode())}</UploadId>")
            case "POST":
                return self._complete(key)
            case _:
                kept(self.folder, key).unlink(missing_ok=True)
                return Answer(204)

    def _object(self, key: str) -> Answer:
        headers = {"Last-Modified": HTTP_DATE, "ETag": f'"{_tag(key.encode())}"'}
        if key.startswith(self.prefix):
            return Answer(200, headers, made_up_body(made_up_number(key[len(self.prefix) :])))
        path = kept(self.folder, key)
        return Answer(200, headers, source=path) if path.exists() else _error(404, "NoSuchKey")

    def _put(self, key: str, body: bytes, only_new: bool) -> Answer:
        path = kept(self.folder, key)
        if only_new and path.exists():
            return _error(412, "PreconditionFailed")
        path.write_bytes(body)
        return Answer(200, {"ETag": f'"{_tag(body)}"'})

    def _put_part(self, key: str, number: int, body: bytes) -> Answer:
        is_hole = body.count(0) == len(body)
        self.parts[key][number] = len(body), b"" if is_hole else body
        return Answer(200, {"ETag": f'"{number}"'})

    def _complete(self, key: str) -> Answer:
        with kept(self.folder, key).open("wb") as file:
            for _, (length, body) in sorted(self.parts.pop(key).items()):
                file.write(body)
                file.truncate(file.seek(length - len(body), os.SEEK_CUR))
        return _xml("CompleteMultipartUploadResult", "<ETag>etag</ETag>")

    def _list(self, query: Mapping[str, str]) -> Answer:
        after = query.get("continuation-token") or query.get("start-after", "")
        size = int(query.get("max-keys", PAGE))
        page = list(islice(self._entries(query.get("prefix", ""), after), size + 1))
        more, page = len(page) > size, page[:size]
        shown = "".join(
            f"<Contents><Key>{quote(key)}</Key><Size>{length}</Size><LastModified>{DATE}</LastModified></Contents>"
            for key, length in page
        )
        following = f"<NextContinuationToken>{quote(page[-1][0])}</NextContinuationToken>" if more else ""
        described = f"<IsTruncated>{str(more).lower()}</IsTruncated><EncodingType>url</EncodingType>"
        return _xml("ListBucketResult", f"{described}<KeyCount>{len(page)}</KeyCount>{shown}{following}")

    def _entries(self, prefix: str, after: str) -> Iterator[tuple[str, int]]:
        if prefix == self.prefix:
            first = made_up_number(after[len(prefix) :]) + 1 if after else 0
            for number in range(first, self.count):
                yield prefix + made_up_path(number), len(made_up_body(number))
            return
        for key in sorted(unquote(path.name) for path in self.folder.iterdir()):
            if key.startswith(prefix) and key > after:
                yield key, kept(self.folder, key).stat().st_size


def _tag(data: bytes) -> str:
    return md5(data, usedforsecurity=False).hexdigest()


def _xml(element: str, content: str, status: int = 200) -> Answer:
    document = f"<?xml version='1.0' encoding='UTF-8'?><{element}>{content}</{element}>"
    return Answer(status, {"Content-Type": "application/xml"}, document.encode())


def _error(status: int, code: str) -> Answer:
    return _xml("Error", f"<Code>{code}</Code>", status)


async def serve(listening: socket.socket, store: Store) -> None:
    """Answer for ever."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await _exchange(store, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, sock=listening, limit=4 * CHUNK)
    await server.serve_forever()


async def _exchange(store: Store, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    first, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in fields)}
    if "expect" in headers:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    url = urlsplit(target)
    key = unquote(url.path).partition("/")[2].partition("/")[2]
    answer = store.answer(method, key, dict(parse_qsl(url.query, keep_blank_values=True)), headers, body)
    shown = {**answer.headers, "Content-Length": str(answer.length)}
    lines = [f"HTTP/1.1 {answer.status} -", *(f"{name}: {value}" for name, value in shown.items()), "", ""]
    writer.write("\r\n".join(lines).encode() + (answer.body if method != "HEAD" else b""))
    if method != "HEAD" and answer.source:
        with answer.source.open("rb") as file:
            while chunk := file.read(CHUNK):
                writer.write(chunk)
                await writer.drain()
    await writer.drain()


def main() -> None:
    """Serve on a socket that listens already."""
    descriptor, folder, prefix, count = sys.argv[1:]
    asyncio.run(serve(socket.socket(fileno=int(descriptor)), Store(Path(folder), prefix, int(count))))


if __name__ == "__main__":
    main()
