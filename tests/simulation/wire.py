"""A small HTTP/1.1 client: one connection, one request at a time, and no patience with the dead."""

import asyncio
import json
from typing import Any, NamedTuple


class Broken(Exception):
    """Nobody answered, or not to the end: the outcome is unknown."""


class Answer(NamedTuple):
    status: int
    body: Any


class Wire:
    """Asks one server, on behalf of one bearer of a key or token."""

    def __init__(self, host: str, port: int, bearer: str) -> None:
        self._host = host
        self._port = port
        self._bearer = bearer
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, path: str, body: object = None, *, patience_s: float = 10.0
    ) -> Answer:
        """Send a request and read the answer. Raises Broken; the next request connects anew."""
        answered = False
        try:
            async with asyncio.timeout(patience_s):
                answer = await self._exchange(method, path, body)
            answered = True
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            raise Broken(repr(error)) from error
        finally:
            if not answered:
                self.close()
        return answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _exchange(self, method: str, path: str, body: object) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        payload = b"" if body is None else json.dumps(body).encode()
        writer.write(
            f"{method} {path} HTTP/1.1\r\nhost: {self._host}\r\n"
            f"authorization: Bearer {self._bearer}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(payload)}\r\n\r\n".encode()
            + payload
        )
        await writer.drain()
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self.close()
        return Answer(int(status.split()[1]), json.loads(content) if content else None)
