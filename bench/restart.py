"""How long a server that was killed takes until it is ready again, with what it had answered still there.

    touchpoint bench restart --json

A million decisions are journalled (DecideBatch of 256, `everysec`), the process is killed, and started again with the same journal, some times: a start
that is killed leaves all that it found. Once also from a snapshot, which covers all segments but the last.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import grpc
from touchpoint.v1.admin_service_pb2 import GetStatusRequest
from touchpoint.v1.admin_service_pb2_grpc import AdminServiceStub

from bench.batch import IN_FLIGHT, ITEMS
from bench.cores import cores, pinned
from bench.driving import Driving
from bench.figure import Figure
from bench.generator import Load
from bench.measured import RunError
from bench.operator import Asked, Operator, operator
from bench.sizes import Sizes
from bench.subjects import StartError, flags_of

ROWS: Final = 1_000_000
DECISIONS: Final = 1_000_000
FIGURES: Final = (
    Figure(
        "ready_after_kill_s",
        "from command to ready with a million journalled contacts and no snapshot",
        most=3,
        unit="s",
    ),
    Figure("ready_from_snapshot_s", "the same from a snapshot of all segments but the last", most=3, unit="s"),
    Figure("ready_without_s", "the same without a journal", unit="s"),
    Figure("journal_bytes_per_decision", "what a decision takes on disk", unit="bytes"),
    Figure(
        "replay_identical", "1 when each of the decisions comes out the same in another process, bit for bit", least=1
    ),
    Figure("replay_decisions_per_s", "so many of them a second"),
)
PATIENCE_S: Final = 300.0


def run(sizes: Sizes) -> dict[str, Any]:
    """Journal, kill, start again; returns the medians in seconds. Raises RunError when contacts are missing."""
    decisions = 10 * ITEMS if sizes.smallest else DECISIONS
    rows = sizes.subscribers(ROWS)
    with operator(rows, 10 if sizes.smallest else 100, sizes.seed) as made:
        journal = made.folder / "journal"
        with ExitStack() as stack:
            subject = stack.enter_context(made.served(2 * decisions, journal=journal))
            load = Load(PATIENCE_S, sizes.seed * 1_000, 2, IN_FLIGHT, calls_max=-(-decisions // ITEMS))
            driven = Driving(made, sizes, Asked(1, ITEMS)).once(subject, load)
            os.kill(subject.pid, signal.SIGKILL)
        written = sum(path.stat().st_size for path in journal.glob("*.journal"))
        replayed = _replayed(made, journal)
        without = [_ready_s(made, decisions, None) for _ in range(sizes.runs())]
        killed = [_ready_s(made, decisions, journal) for _ in range(sizes.runs())]
        subprocess.run(  # our own program
            [sys.executable, "-m", "server.journal_snapshots", str(journal)], check=True, stdout=subprocess.DEVNULL
        )
        shot = [_ready_s(made, decisions, journal) for _ in range(sizes.runs())]
    return {
        "ready_after_kill_s": round(statistics.median(killed), 3),
        "ready_from_snapshot_s": round(statistics.median(shot), 3),
        "ready_without_s": round(statistics.median(without), 3),
        "journal_bytes_per_decision": round(written / max(1, driven.calls * ITEMS)),
        "journal_bytes": written,
        "replay_identical": int(replayed["identical"]),
        "replay_decisions_per_s": round(replayed["decisions"] / max(replayed["seconds"], 1e-6)),
        "replayed": replayed["decisions"],
        "decisions": driven.calls * ITEMS,
        "runs_s": {"after_kill": killed, "from_snapshot": shot, "without": without},
        "rows": rows,
    }


def _replayed(made: Operator, journal: Path) -> dict[str, Any]:
    """Return what `touchpoint replay` says of the journal."""
    parts = made.parts
    command = [sys.executable, "-m", "server", "replay", str(journal), "--rulebook", str(parts["rulebook"])]
    command += ["--base", str(parts["base"]), "--key-secret-file", str(parts["key_secret_file"]), "--json"]
    said = subprocess.run(command, check=False, capture_output=True, text=True)
    if not said.stdout:
        raise RunError(f"the journal cannot be replayed: {said.stderr.strip()}")
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def _ready_s(made: Operator, decisions: int, journal: Path | None) -> float:
    """Start a server, wait until it is ready, look that the contacts are there, and kill it."""
    announced = made.folder / "restarted"
    announced.unlink(missing_ok=True)
    flags = flags_of(made.parts, 2 * decisions, announce=announced, **({"journal": journal} if journal else {}))
    began = time.perf_counter()
    with pinned(frozenset({cores().server})):
        process = subprocess.Popen(
            [sys.executable, "-m", "server", "serve", *flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    try:
        while not announced.exists():
            if process.poll() is not None or time.perf_counter() - began > PATIENCE_S:
                raise StartError("it did not start again")
            time.sleep(0.005)
        taken = time.perf_counter() - began
        if journal is not None:
            _check(announced.read_text(encoding="utf-8").strip(), decisions)
        return round(taken, 3)
    finally:
        process.kill()
        process.wait()


def _check(address: str, decisions: int) -> None:
    with grpc.insecure_channel(address) as channel:
        held = AdminServiceStub(channel).GetStatus(GetStatusRequest()).ledger["contacts"]
    if held < 0.9 * decisions:
        raise RunError(f"of {decisions} journalled decisions {held} contacts are there after a restart")
