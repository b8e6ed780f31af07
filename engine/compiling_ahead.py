"""Compiles what the cache of kernels lacks before it is imported, in processes of their own: one for each processor, a module at a time.

    python -m engine.compiling_ahead MODULE...     (`-m`, so that nothing is forked)
        standard output: how many kernels the modules have for Python; then a dot on a line for each one compiled, and `done` for each module
        standard input: a line with the name of the module to compile next; its end ends the process, whatever it is at

Whoever imports the modules afterwards finds them in the cache. What a process failed to compile is compiled there, as if this had not been.
"""

import gc
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Final, NoReturn

from engine.bundles import COMPILED
from engine.kernel_cache import folder_of, modules_in, sources_bytes

COMMAND: Final = (sys.executable, "-m", "engine.compiling_ahead")
PROCESS_BYTES: Final = 700_000_000
"""What compiling takes at most in one process, with room to spare (526 MB were seen)."""
_COMPLETE: Final = "complete"
_DONE: Final = "done"

Told = Callable[[int, int], None]
"""Called as told(0, 0) when there is something to compile, and told(compiled, all) whenever a kernel has been compiled, by one thread at a time."""


def compile_ahead(packages: Sequence[str], told: Told, processes: int | None = None) -> None:
    """Compile the kernels of these packages that the cache lacks; returns when they are there, or when it turned out that they cannot be made this way."""
    missing = [module for package in packages for module in modules_in(package) if not _complete(module).exists()]
    if not COMPILED or not missing:
        return
    told(0, 0)
    missing.sort(key=sources_bytes, reverse=True)
    work = _Work(missing, told)
    threads = [threading.Thread(target=work.share) for _ in range(processes or _processes(len(missing)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _complete(module: str) -> Path:
    """Return the file that says that all kernels of the module are in the cache."""
    return folder_of(module) / _COMPLETE


def _processes(modules: int) -> int:
    """Return how many processes there are processors and memory for."""
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(len(os.sched_getaffinity(0)), modules, available // PROCESS_BYTES))


class _Work:
    """What is to be compiled, and how far it is; shared by a thread for each process."""

    def __init__(self, modules: list[str], told: Told) -> None:
        self._modules = modules
        self._left = deque(modules)
        self._told = told
        self._lock = threading.Lock()
        self._compiled = 0

    def share(self) -> None:
        """Have one process compile module after module until none is left, or the process ends."""
        command = [*COMMAND, *self._modules]
        # A pipe that breaks, or a number that is none, is a process that ended too early.
        with (
            suppress(BrokenPipeError, ValueError),
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process,  # noqa: S603  # our own program, no shell
        ):
            assert process.stdin
            assert process.stdout
            self._feed(process.stdin, process.stdout)

    def _feed(self, orders: IO[str], reports: IO[str]) -> None:
        """Raises BrokenPipeError or ValueError when the process has ended."""
        kernels = int(reports.readline())
        while self._left:
            try:
                orders.write(self._left.popleft() + "\n")
            except IndexError:
                return
            for line in iter(reports.readline, f"{_DONE}\n"):
                if not line:
                    raise BrokenPipeError
                with self._lock:
                    self._compiled += 1
                    self._told(self._compiled, kernels)


def main(modules: Sequence[str], orders: IO[str], reports: IO[str]) -> NoReturn:
    """Compile the modules that the orders name, of those that are given, until the orders end."""
    from engine.jit import Waiting, compile_waiting, compiled_kernels

    Waiting.all_kernels = True
    gc.set_threshold(100_000, 50, 100)
    for module in modules:
        import_module(module)
    wanted = [each for each in compiled_kernels if each.stands_apart or not each.targetoptions["no_cpython_wrapper"]]
    print(sum(each.py_func.__module__ in modules for each in wanted), file=reports, flush=True)
    names: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(orders, names), daemon=True).start()
    while True:
        module = names.get()
        for each in wanted:
            if each.py_func.__module__ == module:
                compile_waiting(each)
                print(".", file=reports, flush=True)
        _complete(module).parent.mkdir(exist_ok=True)
        _complete(module).touch()
        print(_DONE, file=reports, flush=True)


def _listen(orders: IO[str], names: SimpleQueue[str]) -> None:
    """Pass the orders on, and end the process with them: whoever gave them has what was wanted, or is gone."""
    for line in orders:
        names.put(line.strip())
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main(sys.argv[1:], sys.stdin, sys.stdout)
