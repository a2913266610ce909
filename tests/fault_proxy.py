"""A TCP proxy that makes the network's faults: connections cut, held up, refused, and replies that never arrive."""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

CHUNK_BYTES = 65_536


class Way(Enum):
    """The two directions."""

    REQUESTS = "from client to server"
    ANSWERS = "from server to client"


class Strike(Enum):
    """What to do to the connection whose next request holds certain bytes."""

    CUT = "cut it; the request does not arrive"
    LOSE_ANSWER = "hand the request on, and cut when the server answers: it was done, and the client cannot know"


@dataclass(eq=False)
class _Connection:
    client: socket.socket
    server: socket.socket
    loses_answer: bool = False

    def close(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@dataclass
class _Flow:
    """What one direction is doing to all connections."""

    open: threading.Event = field(default_factory=threading.Event)
    delay_seconds: float = 0.0


class FaultProxy:
    """Stands before a server on loopback, given by URL; its own `url` leads through it. Safe for several threads."""

    def __init__(self, url: str) -> None:
        self._behind = urlsplit(url)
        self._connections: set[_Connection] = set()
        self._flows = {way: _Flow() for way in Way}
        self._strikes: list[tuple[bytes, Strike]] = []
        self._lock = threading.Lock()
        self._refusing = False
        self.struck = 0
        """Strikes carried out."""
        self.resume()

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._refusing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.resume()
        self.cut()

    @property
    def url(self) -> str:
        """That of the server behind, but by way of the proxy."""
        port = self._listener.getsockname()[1]
        credentials = self._behind.netloc.rpartition("@")[0]
        return urlunsplit(self._behind._replace(netloc=f"{credentials}@127.0.0.1:{port}"))

    def lead_to(self, url: str) -> None:
        """New connections go to this server from now on; those there are end. As an address that follows a primary."""
        self._behind = urlsplit(url)
        self.cut()

    def cut(self) -> None:
        """End every connection now."""
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            connection.close()

    def refuse(self) -> None:
        """End every connection, and every new one at once."""
        self._refusing = True
        self.cut()

    def pause(self, *ways: Way) -> None:
        """Hold up what flows these ways (both, if none is named), as a network does that drops every packet."""
        for way in ways or Way:
            self._flows[way].open.clear()

    def delay(self, seconds: float, *ways: Way) -> None:
        """Hand every chunk on so much later."""
        for way in ways or Way:
            self._flows[way].delay_seconds = seconds

    def resume(self) -> None:
        """Let everything flow again, and take new connections."""
        self._refusing = False
        for flow in self._flows.values():
            flow.delay_seconds = 0.0
            flow.open.set()

    def strike(self, request_with: bytes, strike: Strike) -> None:
        """Once, at the next request that holds these bytes."""
        with self._lock:
            self._strikes.append((request_with, strike))

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                client.close()
                continue
            try:
                server = socket.create_connection((self._behind.hostname, self._behind.port))
            except OSError:
                client.close()
                continue
            connection = _Connection(client, server)
            with self._lock:
                self._connections.add(connection)
            for way in Way:
                threading.Thread(target=self._carry, args=(connection, way), daemon=True).start()

    def _carry(self, connection: _Connection, way: Way) -> None:
        source, sink = connection.client, connection.server
        if way is Way.ANSWERS:
            source, sink = sink, source
        flow = self._flows[way]
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                flow.open.wait()
                time.sleep(flow.delay_seconds)
                if self._is_struck(connection, way, chunk):
                    break
                sink.sendall(chunk)
        connection.close()
        with self._lock:
            self._connections.discard(connection)

    def _is_struck(self, connection: _Connection, way: Way, chunk: bytes) -> bool:
        with self._lock:
            if way is Way.ANSWERS:
                self.struck += connection.loses_answer
                return connection.loses_answer
            found = next((strike for strike in self._strikes if strike[0] in chunk), None)
            if found is None:
                return False
            self._strikes.remove(found)
            connection.loses_answer = found[1] is Strike.LOSE_ANSWER
            self.struck += found[1] is Strike.CUT
            return found[1] is Strike.CUT
