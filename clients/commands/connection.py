"""What every command that calls a server shares: options, errors, output."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

if TYPE_CHECKING:
    from clients.target import Target

_OPTIONS = (
    click.option(
        "--target",
        envvar="TOUCHPOINT_TARGET",
        default="127.0.0.1:7717",
        show_default=True,
        help="Server: host:port or unix:<path>.",
    ),
    click.option(
        "--ca-file",
        envvar="TOUCHPOINT_CA_FILE",
        type=click.Path(path_type=Path),
        help="PEM authorities; with it the connection is TLS.",
    ),
    click.option(
        "--token-file",
        envvar="TOUCHPOINT_TOKEN_FILE",
        type=click.Path(path_type=Path),
        help="File that holds the bearer token; without it, the variable TOUCHPOINT_TOKEN.",
    ),
    click.option(
        "--deadline-ms",
        type=click.IntRange(1, 600_000),
        default=5_000,
        show_default=True,
        help="How long to wait for an answer.",
    ),
)


def connection_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a connection to a command, which gets them as one `connection` argument: a Target."""

    @wraps(command)
    def with_target(
        *args: Any, target: str, ca_file: Path | None, token_file: Path | None, deadline_ms: int, **others: Any
    ) -> None:
        with readable_errors():
            command(*args, connection=_connection(target, ca_file, token_file, deadline_ms), **others)

    for option in reversed(_OPTIONS):
        with_target = option(with_target)
    return with_target


def _connection(target: str, ca_file: Path | None, token_file: Path | None, deadline_ms: int) -> "Target":
    from clients.target import Target, read_token

    return Target(target, ca_file, read_token(token_file), deadline_ms)


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn a failed call into one message on standard error and exit code 1."""
    from clients.target import CallError

    try:
        yield
    except CallError as error:
        raise click.ClickException(str(error)) from None
    except UnicodeEncodeError:
        raise click.UsageError("expected text in UTF-8, was something else; look at the options' values") from None


def fields_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add --field, given once for each field of the trigger."""
    return click.option(
        "--field",
        "fields",
        multiple=True,
        metavar="NAME[:TYPE]=VALUE",
        help="A field of the trigger, such as used_mb=950.5, app=video or stayed:duration=2h.",
    )(command)


def parsed_fields(texts: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields by name; a mistake in one is a usage error (exit code 2)."""
    from clients.fields import parse_field

    fields = {}
    for text in texts:
        try:
            name, value = parse_field(text)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--field") from None
        if name in fields:
            raise click.BadParameter(f"{name} is given twice", param_hint="--field")
        fields[name] = value
    return fields


def parsed_instant(text: str | None, option: str) -> Any:
    """Return the instant of an RFC 3339 text, None for None; a mistake is a usage error (exit code 2)."""
    from clients.fields import parse_instant

    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError as error:
        raise click.BadParameter(
            f"expected an instant such as 2026-11-21T22:30:00-06:00, was {text!r} ({error})", param_hint=option
        ) from None
