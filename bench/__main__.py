"""Every bench in turn, one line of JSON each: `python -m bench`."""

import json
import tempfile
from pathlib import Path

from bench import base_load, decisions
from bench.machine import machine


def main() -> None:
    """Run the benches at their full size and print what they measured."""
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({"bench": "base_load", "machine": machine(), **base_load.run(1_000_000, 1, Path(folder))}))
    print(json.dumps({"bench": "decisions", **decisions.run(50, 1)}))


if __name__ == "__main__":
    main()
