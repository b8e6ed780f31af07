"""A grpc.aio server in a thread whose handler a test gives: what the load generator must see through."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

Handler = Callable[[bytes, Any], Awaitable[bytes]]
PATIENCE_S = 30.0


@contextmanager
def serving(handler: Handler, options: list[tuple[str, Any]] | None = None) -> Iterator[str]:
    """Serve Decide, DecideBatch and DecideColumns by the handler; yields the address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> tuple[Any, int]:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0), *(options or [])])
        methods: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(handler) for name in ("Decide", "DecideBatch", "DecideColumns")
        }
        name = "touchpoint.v1.DecisionService"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result(PATIENCE_S)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(0), loop).result(PATIENCE_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()
