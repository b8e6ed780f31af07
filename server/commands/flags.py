"""A flag for every setting, made from `server.settings.Settings`, so that the two cannot differ."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import rich_click as click

from server.settings import Resolved, Settings, SettingsError, resolve


def settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --config and a flag for each setting; what is not given is None, and left to the variables, the file and the defaults."""
    hints = get_type_hints(Settings, include_extras=True)
    for name in reversed(Settings.__struct_fields__):
        kind, *about = get_args(hints[name])
        command = click.option("--" + name.replace("_", "-"), default=None, help=_help(name, about), **_type(kind))(
            command
        )
    return click.option(
        "--config", type=click.Path(path_type=Path), default=None, help="TOML file of settings; also TOUCHPOINT_CONFIG."
    )(command)


def _type(kind: Any) -> dict[str, Any]:
    if kind is bool:
        return {"is_flag": True, "flag_value": True, "type": bool}
    if get_origin(kind) is Literal:
        return {"type": click.Choice(get_args(kind))}
    return {"type": kind}


def _help(name: str, about: list[Any]) -> str:
    default = Settings.__struct_defaults__[Settings.__struct_fields__.index(name)]
    text = next(meta.description for meta in about if meta.description)
    return (
        f"{text[0].upper()}{text[1:]}. [{default!r}]" if default not in ("", False) else f"{text[0].upper()}{text[1:]}."
    )


def resolved(flags: dict[str, Any], environment: dict[str, str], config: Path | None) -> Resolved:
    """Return the settings in force; a mistake among them is said once, whole, with exit code 2."""
    try:
        return resolve(flags, environment, config)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
