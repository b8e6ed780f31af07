"""An empty unary handler on grpc.aio with uvloop: raw bytes in and out, so that nothing but gRPC itself is measured.

    python -m bench.rivals.empty_grpc_aio

Answers an empty message, or with --echo the request's own bytes; prints its address and serves until it is ended.
"""

import asyncio
import signal
import sys
from typing import Any

import grpc
import uvloop


async def _empty(_payload: bytes, _context: Any) -> bytes:
    return b""


async def _echo(payload: bytes, _context: Any) -> bytes:
    return payload


async def serve(echo: bool) -> None:
    """Serve until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.server.max_pending_requests", 100_000),
            ("grpc.max_concurrent_streams", 10_000),
        ]
    )
    handler: Any = grpc.unary_unary_rpc_method_handler(_echo if echo else _empty)
    methods = {"Decide": handler, "DecideBatch": handler}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("touchpoint.v1.DecisionService", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await stopping.wait()
    await server.stop(0)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve("--echo" in sys.argv[1:]))
