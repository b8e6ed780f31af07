"""An empty unary handler on pygrpc-native's batch interface, its best: one I/O thread, no call details, calls taken and answered in batches.

    python -m bench.rivals.empty_native

Answers an empty message, or with --echo the request's own bytes; prints its address and serves until it is ended.
"""

import signal
import sys
import threading
from typing import Final

from pygrpc_native import EVENT_CALL, NativeGrpcFront

PATHS: Final = tuple(f"/touchpoint.v1.DecisionService/{name}" for name in ("Decide", "DecideBatch", "DecideColumns"))
EVENTS_MAX: Final = 256
WAIT_MS: Final = 200


def serve(echo: bool) -> None:
    """Serve until SIGTERM."""
    front = NativeGrpcFront("127.0.0.1:0", [(path, False) for path in PATHS], io_threads=1)
    front.start()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    print(f"127.0.0.1:{front.bound_port}", flush=True)
    while not stopping.is_set():
        for kind, call, _method, payload, _key in front.recv_batch(EVENTS_MAX, WAIT_MS) or ():
            if kind == EVENT_CALL and payload is not None:
                front.respond(call, payload if echo else b"")
    front.close()


if __name__ == "__main__":
    serve("--echo" in sys.argv[1:])
