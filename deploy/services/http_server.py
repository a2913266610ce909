"""uvicorn, as both HTTP services run it."""

import asyncio
import contextlib
import gc
import resource
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from math import ceil
from typing import Any, Final

import uvicorn
import uvloop
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from deploy.services.certificate import check_certificate
from deploy.services.http_protocol import timely_protocol
from deploy.services.websocket_protocol import WEBSOCKET_OPTIONS
from shared.answers import Answer, AsgiApp, Begin, Scope
from shared.settings import Settings

_FILES_OF_OURS: Final = 256


class _Server(uvicorn.Server):
    """uvicorn's server without its habit to raise the signal again at its end: we have yet to close what we opened."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stop()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def serve(
    app: AsgiApp,
    settings: Settings,
    host: str,
    port: int,
    *,
    websockets: bool = False,
    stop: Callable[[], None] = lambda: None,
    begin: Begin | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then let what is in flight end within the time to drain.

    ``stop`` is called first: it ends answers that would go on for ever. ``begin`` is asked before ``app``, for requests
    that have come whole.
    """
    trusted = settings.trusted_proxies
    if begin is not None and trusted:
        begin = _proxied(begin, list(trusted))
    check_certificate(settings.tls_certificate, settings.tls_key)
    server = _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="uvloop",
            http=timely_protocol(settings.body_timeout_seconds, _allow_connections(settings.max_connections), begin),
            **(WEBSOCKET_OPTIONS if websockets else {"ws": "none"}),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(trusted),
            forwarded_allow_ips=list(trusted),
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
            timeout_graceful_shutdown=ceil(settings.drain_seconds),
        ),
        stop,
    )
    _calm_collector()
    await server.serve()


def _proxied(begin: Begin, trusted: list[str]) -> Begin:
    """The same behind uvicorn's middleware for proxies, which waits for nothing but the application it wraps."""

    async def nothing(scope: Any, receive: Any, send: Any) -> None:
        pass

    middleware: Any = ProxyHeadersMiddleware(nothing, trusted)

    def begin_proxied(scope: Scope, body: bytes, answer: Answer) -> bool:
        with contextlib.suppress(StopIteration):
            middleware(scope, None, None).send(None)
        return begin(scope, body, answer)

    return begin_proxied


def _allow_connections(wanted: int) -> int:
    """So many connections, or as many as the process may have files open, less those it needs itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _FILES_OF_OURS
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(min(wanted, soft - _FILES_OF_OURS), 1)


def _calm_collector() -> None:
    """Let the collector look at what start-up made no more, and at the rest seldom.

    Requests make few cycles; at Python's 700 allocations a look it costs them 5 %.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a service's coroutine on a fresh uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)
