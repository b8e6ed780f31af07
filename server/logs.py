"""Structured logs on standard error. Events are constant text with figures beside it; a subscriber's key is never among them."""

import logging
import sys
import traceback
from functools import partial
from typing import Any

import structlog


def set_up(style: str, level: str, shard: str = "") -> None:
    """Log in `style` (json or console) from `level` (debug, info, warning, error) up; the standard library's records too, and of `shard`, if given."""
    steps: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if shard:
        steps.append(partial(_say_shard, shard))
    # Both formatters of exceptions would print local variables, and with them what callers sent.
    plain = structlog.dev.plain_traceback
    last: list[Any] = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    if style == "json":
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*steps, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=steps, processors=[_drop_meta, *last]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))


def _drop_meta(_logger: Any, _method: str, event: Any) -> Any:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(_logger, _method, event)


def _say_shard(shard: str, _logger: Any, _method: str, event: Any) -> Any:
    return event | {"shard": shard}


def frames(error: BaseException) -> list[str]:
    """Return where an error came from, without its text and without values, which may hold what a caller sent."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]


def log() -> Any:
    """Return the server's logger; bind no subscriber to it."""
    return structlog.get_logger("touchpoint")
