"""Servers under test: ours and the rivals', each a process of its own on the server's core."""

import contextlib
import importlib.util
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.cores import cores, pinned, processor_s
from bench.generator import Driven, Load, Target
from bench.measured import Measured, measured
from bench.processes import drive_together
from bench.requests import Salts
from bench.rivals import building

PATIENCE_S: Final = 300.0
"""Long enough to compile every kernel on a machine that never did."""
_END_S: Final = 10.0
_SETTLE_S: Final = 60.0
_GLANCE_S: Final = 0.5
_IDLE_SHARE: Final = 0.05
"""Of a core: a server that needs less is waiting."""


class StartError(Exception):
    """A server did not start; the message is what it printed."""


class Subject(NamedTuple):
    """A running server."""

    name: str
    address: str
    pid: int

    def drive(self, target: Target, load: Load, salts: Salts, processes: int = 1) -> tuple[Driven, Measured]:
        """Drive one load, from this process or from others, and return what came of it."""
        before_s = processor_s(self.pid)
        with pinned(cores().load):
            driven = drive_together(target, load, salts, processes)
        return driven, measured(driven, processor_s(self.pid) - before_s)


@contextlib.contextmanager
def started(name: str, command: Sequence[str], announced: Path | None = None) -> Iterator[Subject]:
    """Run a server on the server's core until the block ends; it says its address on standard output, or in the file `announced`."""
    with tempfile.TemporaryFile() as said:
        with pinned(frozenset({cores().server})):
            process = subprocess.Popen(
                command, stdout=said if announced else subprocess.PIPE, stderr=said, stdin=subprocess.DEVNULL
            )
        try:
            yield Subject(name, _address(process, announced, said), process.pid)
        finally:
            _end(process)


def _address(process: "subprocess.Popen[bytes]", announced: Path | None, said: Any) -> str:
    end = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < end:
        if announced is None:
            assert process.stdout is not None
            if select.select([process.stdout], [], [], 0.1)[0] and (line := process.stdout.readline()):
                return line.decode().strip()
        elif announced.exists():
            return announced.read_text(encoding="utf-8").strip()
        else:
            time.sleep(0.02)
    said.seek(0)
    raise StartError(f"{' '.join(process.args)}: {said.read().decode(errors='replace').strip() or 'it did not start'}")  # type: ignore[arg-type]  # a list of words


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextlib.contextmanager
def touchpoint(
    folder: Path, parts: Mapping[str, Path], decisions_max: int, name: str = "touchpoint", **more: Any
) -> Iterator[Subject]:
    """Run our server over a rulebook, a base and its secret, with room for so many decisions and more settings, under a name that begins with ours."""
    announced = folder / f"{name}.address"
    announced.unlink(missing_ok=True)
    words = flags_of(parts, decisions_max, announce=announced, **more)
    with started(name, [sys.executable, "-m", "server", "serve", *words], announced) as subject:
        _settle(subject.pid)
        yield subject


def flags_of(parts: Mapping[str, Path], decisions_max: int, **more: Any) -> list[str]:
    """Return the flags of `serve` for a rulebook, a base and its secret, with room for so many decisions and more settings."""
    flags = {
        "listen": "127.0.0.1:0",
        "management_listen": "",
        "contacts_max": max(100_000, 8 * decisions_max),
        "outcomes_max": 1_000,
        "answers_bytes_max": max(1 << 26, 1_024 * decisions_max),
        "drain_notice_ms": 0,
        "log_level": "warning",
        **parts,
        **more,
    }
    return [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]


def _settle(pid: int) -> None:
    """Wait until a server has done what it does on its own after ready: take its memory, read its base."""
    before_s, end = processor_s(pid), time.monotonic() + _SETTLE_S
    while time.monotonic() < end:
        time.sleep(_GLANCE_S)
        now_s = processor_s(pid)
        if now_s - before_s < _IDLE_SHARE * _GLANCE_S:
            return
        before_s = now_s


class Rivals(NamedTuple):
    """The empty handlers that are there, and why others are not."""

    subjects: list[Subject]
    missing: dict[str, str]


@contextlib.contextmanager
def rivals(names: Sequence[str] = ("grpc_aio_empty", "native_empty", "cpp_empty")) -> Iterator[Rivals]:
    """Run the rivals that this machine has."""
    found, missing = Rivals([], {}), {}
    with contextlib.ExitStack() as stack:
        for name in names:
            command, why = _command_of(name)
            if command is None:
                missing[name] = why
            else:
                found.subjects.append(stack.enter_context(started(name, command)))
        yield found._replace(missing=missing)


def _command_of(name: str) -> tuple[list[str] | None, str]:
    """Return a rival's command, or None and why it cannot run."""
    if name == "cpp_empty":
        built = building.callback_server()
        return ([str(built.path)] if built.path else None), built.why
    if name == "grpc_aio_empty":
        return [sys.executable, "-m", "bench.rivals.empty_grpc_aio"], ""
    if importlib.util.find_spec("pygrpc_native") is None:
        return None, "pygrpc-native is not installed; pip install .[fast]"
    echo = ["--echo"] if name == "native_echo" else []
    return [sys.executable, "-m", "bench.rivals.empty_native", *echo], ""
