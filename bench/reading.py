"""What reading requests costs, from their bytes to the batch's columns: by kernels, and in Python for requests in odd form.

    python -m bench.reading

The same requests to the demo's catalogue are read both ways in turn: as a client writes them, and with a field that the server does not know
appended, which leaves them to Python. Half are a desk's pop-up, half a usage event with three fields, one of them a string; each has an id and a
subscriber of its own. The figures are medians over rounds of processor time, in microseconds an item.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any, Final

from touchpoint.v1 import decision_service_pb2

from bench.decisions import CUSTOMERS, front_of_demo
from bench.machine import machine
from engine.limits import BATCH_ITEMS_MAX
from loaders.demo.places import msisdn_of
from server.codec.items import items_of
from server.codec.reader import Reader

SIZES: Final = (1, 16, 50, 256, BATCH_ITEMS_MAX)
UNKNOWN_FIELD: Final = b"\xf8\x3f\x01"
APPS: Final = ("video", "maps", "mail", "games")


def requests(count: int, seed: int) -> list[bytes]:
    """Return encoded requests in usual form."""
    made = []
    for number in range(count):
        request = decision_service_pb2.DecideRequest(
            request_id=f"bench-{seed}-{number:07d}", subscriber=msisdn_of(number % CUSTOMERS)
        )
        if number % 2:
            request.channel, request.trigger.type = "sms", "data_usage"
            request.trigger.fields["used_mb"].double_value = 19_500.0 + number
            request.trigger.fields["app"].string_value = APPS[number // 2 % len(APPS)]
            request.trigger.fields["night"].bool_value = False
        else:
            request.channel, request.placement, request.max_offers = "desk", "desk_open", 6
        made.append(request.SerializeToString())
    return made


def cost(reader: Reader, payloads: list[bytes], repeats: int) -> float:
    """Return the microseconds of processor time an item that reading the payloads as one batch takes, over so many repeats."""
    began = time.thread_time_ns()
    for _ in range(repeats):
        failed = reader.read(items_of(payloads), 1_790_000_000_000_000).failures
    taken_us = (time.thread_time_ns() - began) / 1_000
    assert not failed, failed
    return taken_us / repeats / len(payloads)


def run(rounds: int, seed: int, sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Measure each size both ways, in turn."""
    front, _ = front_of_demo()
    reader = Reader(front.engine.bound, front.hashes, front.engine.new_batch())
    figures: dict[str, Any] = {}
    for size in sizes:
        usual = requests(size, seed)
        odd = [payload + UNKNOWN_FIELD for payload in usual]
        repeats = max(1, 4_096 // size)
        cost(reader, usual, 1)
        both = [(cost(reader, usual, repeats), cost(reader, odd, max(1, repeats // 16))) for _ in range(rounds)]
        kernels_us, python_us = (statistics.median(column) for column in zip(*both, strict=True))
        figures[f"batch_{size}"] = {
            "kernels_us": round(kernels_us, 3),
            "python_us": round(python_us, 1),
            "ratio": round(python_us / kernels_us, 1),
        }
    return {"machine": machine(), "seed": seed, "rounds": rounds, **figures}


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(json.dumps(run(arguments.rounds, arguments.seed)))


if __name__ == "__main__":
    main()
