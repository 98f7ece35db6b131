"""A pooler before Postgres, in one of its two modes: a session a client, or one a transaction."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _message(reader: asyncio.StreamReader) -> bytes:
    """Return one message of the protocol: its letter, its length and its body."""
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


@dataclass
class Pooler:
    """Passes messages on; where it changes sessions, the one used last is used next."""

    host: str
    port: int
    """Of Postgres."""
    whole_sessions: bool
    idle: list[Streams] = field(default_factory=list)
    opened: list[asyncio.StreamWriter] = field(default_factory=list)
    """To clients and to the server."""
    serving: list[asyncio.Task[None]] = field(default_factory=list)

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Work for one client until it goes."""
        self.opened.append(writer)
        self.serving.append(asyncio.create_task(self._serve(reader, writer)))

    async def close(self) -> None:
        """Let everybody go."""
        for writer in self.opened:
            writer.close()
        await asyncio.gather(*self.serving)
        for writer in self.opened:
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            own = await self._log_in(reader, writer)
            while (message := await _message(reader))[:1] != b"X":
                server = own if self.whole_sessions else self.idle.pop()
                await self._transaction((reader, writer), server, message)
                if not self.whole_sessions:
                    self.idle.append(server)
        writer.close()

    async def _log_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Streams:
        """Let the client log in at the server; it hears of another process than there is."""
        server = await asyncio.open_connection(self.host, self.port)
        self.opened.append(server[1])
        size = await reader.readexactly(4)
        start = size + await reader.readexactly(struct.unpack("!I", size)[0] - 4)
        if start[4:] == struct.pack("!I", 80877103):
            writer.write(b"N")
            size = await reader.readexactly(4)
            start = size + await reader.readexactly(struct.unpack("!I", size)[0] - 4)
        server[1].write(start)
        while True:
            message = await _message(server[0])
            kind = message[:1]
            writer.write(b"K" + struct.pack("!III", 12, 7, 7) if kind == b"K" else message)
            if kind == b"Z":
                break
            asked = kind == b"R" and struct.unpack("!I", message[5:9])[0] in (3, 5, 10, 11)
            if asked:
                server[1].write(await _message(reader))
        # At the far end: another client may have used one more lately.
        self.idle.insert(0, server)
        return server

    async def _transaction(self, client: Streams, server: Streams, message: bytes) -> None:
        """Pass on what belongs to one transaction, which begins with a message."""
        while True:
            server[1].write(message)
            if message[:1] in (b"Q", b"S"):
                answer = b""
                while answer[:1] != b"Z":
                    answer = await _message(server[0])
                    client[1].write(answer)
                if answer[5:6] == b"I":
                    return
            message = await _message(client[0])


@contextlib.asynccontextmanager
async def running(host: str, port: int, *, whole_sessions: bool) -> AsyncIterator[int]:
    """Run a pooler; give its port."""
    pooler = Pooler(host, port, whole_sessions)
    server = await asyncio.start_server(pooler.serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await pooler.close()
