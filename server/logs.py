"""Structured logs on standard error. Events are constant text with figures beside it; a subscriber's key is never among them."""

import logging
import sys
from typing import Any

import structlog


def set_up(style: str, level: str) -> None:
    """Log in `style` (json or console) from `level` (debug, info, warning, error) up; the standard library's records too."""
    steps: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    if style == "json":
        last = [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
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


def log() -> Any:
    """Return the server's logger; bind no subscriber to it."""
    return structlog.get_logger("touchpoint")
