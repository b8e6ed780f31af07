"""What an operator can set: flags win over TOUCHPOINT_* variables, which win over one TOML file, which wins over the defaults.

Every setting is a field of `Settings`: `receive_bytes_max` is the flag --receive-bytes-max, the variable TOUCHPOINT_RECEIVE_BYTES_MAX and the
file's key receive_bytes_max. Secrets are no settings: a setting names the file that holds one.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, get_type_hints

import msgspec
from msgspec import Meta

from engine.shard import Shard, parse_shard

PREFIX: Final = "TOUCHPOINT_"


class SettingsError(Exception):
    """Some settings are wrong; the message lists all of them, one a line."""


def _about(text: str, **bounds: Any) -> Meta:
    return Meta(description=text, **bounds)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting with its default; descriptions are shown by `touchpoint config show`."""

    listen: Annotated[str, _about("host:port to serve gRPC on, or unix:<path>; port 0 takes a free one")] = (
        "127.0.0.1:7717"
    )
    management_listen: Annotated[
        str, _about("host:port for /metrics, /livez, /readyz, or unix:<path>; empty: none")
    ] = "127.0.0.1:7718"
    rulebook: Annotated[str, _about("compiled rulebook, or a catalogue folder to compile at start")] = ""
    base: Annotated[str, _about("snapshot folder of the subscribers")] = ""
    base_swap: Annotated[
        Literal["auto", "live", "restart"],
        _about("how a reload takes a new base: live, or by a restart alone; auto, live when both fit into memory"),
    ] = "auto"
    key_secret_file: Annotated[str, _about("file with the 32 hexadecimal digits of the subscriber hash's secret")] = ""
    shard: Annotated[
        str, _about("k/n: this server is shard k of n, counted from 0, and owns that part of the subscribers")
    ] = "0/1"
    replica: Annotated[
        int, _about("number of this server among the replicas that share ledger_redis", ge=0, le=65_535)
    ] = 0
    workers: Annotated[
        int, _about("processes that share the subscribers behind this address, each a shard on this host", ge=1, le=64)
    ] = 1

    tls_certificate_file: Annotated[str, _about("PEM certificate chain; with it, gRPC is served over TLS only")] = ""
    tls_key_file: Annotated[str, _about("PEM private key of the certificate")] = ""
    tls_client_ca_file: Annotated[
        str, _about("PEM authorities; with it, clients must show a certificate of theirs")
    ] = ""
    tokens_file: Annotated[
        str, _about("TOML file of bearer token hashes, names and scopes; with it, calls need a token")
    ] = ""
    insecure: Annotated[bool, _about("serve beyond loopback with neither TLS nor tokens")] = False

    front: Annotated[
        Literal["auto", "grpcio", "native"],
        _about(
            "which server of gRPC: grpcio; native, the faster one; auto, native where server/README.md says it is safe"
        ),
    ] = "auto"
    native_io_threads: Annotated[int, _about("threads of the native front that do HTTP/2", ge=1, le=64)] = 1
    network_trusted: Annotated[
        bool,
        _about(
            "nobody who can reach the listener would abuse it: the native front may serve beyond loopback without tokens"
        ),
    ] = False

    receive_bytes_max: Annotated[int, _about("largest message received, bytes", ge=4_096, le=67_108_864)] = 1_048_576
    queue_items_max: Annotated[int, _about("decisions that may wait; more are shed", ge=1, le=1_000_000)] = 16_384
    stream_in_flight_max: Annotated[int, _about("unanswered requests of one stream", ge=1, le=4_096)] = 256
    contacts_max: Annotated[int, _about("contacts that the ledger has room for", ge=4, le=1_000_000_000)] = 1_000_000
    outcomes_max: Annotated[int, _about("outcome ids remembered for 24 hours", ge=1, le=100_000_000)] = 1_000_000
    ledger_redis: Annotated[
        str, _about("URL of the Redis or Valkey that holds the ledger of all replicas, without a password; empty: none")
    ] = ""
    ledger_redis_password_file: Annotated[str, _about("file with the password for ledger_redis")] = ""
    ledger_redis_ca_file: Annotated[str, _about("PEM authorities for rediss://; empty: the system's")] = ""
    ledger_redis_timeout_ms: Annotated[
        int, _about("how long a decision waits for the shared ledger at each of its two steps", ge=1, le=10_000)
    ] = 50
    overlay_subscribers_max: Annotated[
        int, _about("subscribers with live changes between two snapshots", ge=1, le=100_000_000)
    ] = 65_536
    answers_bytes_max: Annotated[int, _about("memory for remembered answers, bytes", ge=65_536, le=274_877_906_944)] = (
        268_435_456
    )

    journal: Annotated[
        str, _about("folder of the journal, which a restart goes on from; empty: what is held ends with the process")
    ] = ""
    journal_durability: Annotated[
        Literal["always", "everysec", "none"],
        _about("what was answered is on disk: always; within a second; whenever the system writes it"),
    ] = "everysec"

    journal_keep_days: Annotated[
        int,
        _about("how long what was journalled is kept for audits; 0: as long as a restart needs it", ge=0, le=36_500),
    ] = 0

    drain_notice_ms: Annotated[
        int, _about("on SIGTERM: time between NOT_SERVING and refusing calls", ge=0, le=60_000)
    ] = 500
    drain_grace_ms: Annotated[int, _about("on SIGTERM: time that calls under way are given", ge=0, le=600_000)] = 10_000
    log_style: Annotated[Literal["console", "json"], _about("console or json")] = "console"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _about("least severe events to log")] = "info"


class Resolved(NamedTuple):
    """Settings, and for each by whom it was set: `flag`, a variable's name, `<file>`, or `default`."""

    settings: Settings
    origins: dict[str, str]
    warnings: tuple[str, ...]
    """Variables with the prefix that name no setting: some platforms set such by themselves, so they are no errors."""


def resolve(flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None) -> Resolved:
    """Return the settings; flags of None count as not given. Raises SettingsError with every mistake."""
    file = file or (Path(environment[PREFIX + "CONFIG"]) if environment.get(PREFIX + "CONFIG") else None)
    hints = get_type_hints(Settings, include_extras=True)
    problems: list[str] = []
    values: dict[str, Any] = {}
    origins = dict.fromkeys(hints, "default")
    for name, value, origin in _given(flags, environment, file, problems):
        if name not in hints:
            problems.append(f"{origin}: {name}: no such setting{_nearest(name, hints)}")
            continue
        try:
            values[name] = msgspec.convert(value, hints[name], strict=not isinstance(value, str))
            origins[name] = origin
            if name == "shard":
                parse_shard(value)
        except msgspec.ValidationError as error:
            problems.append(f"{origin}: {name}: {error}; was {value!r}")
        except ValueError as error:
            problems.append(f"{origin}: {name}: {error}")
    settings = Settings() if problems else Settings(**values)
    problems += _at_odds(settings)
    if problems:
        raise SettingsError("\n".join(problems))
    return Resolved(settings, origins, tuple(_unknown_variables(environment, hints)))


def shard_of(settings: Settings) -> Shard:
    """Return which shard this server is; raises SettingsError."""
    try:
        return parse_shard(settings.shard)
    except ValueError as error:
        raise SettingsError(f"shard: {error}") from None


def _at_odds(settings: Settings) -> Iterator[str]:
    """Yield which settings do not go together."""
    sharded = parse_shard(settings.shard).of > 1
    if settings.workers > 1 and sharded:
        yield f"workers: {settings.workers} with shard {settings.shard}: expected one of them, as workers are the shards"
    if settings.ledger_redis and (sharded or settings.workers > 1):
        yield "ledger_redis: expected neither shard nor workers with it: replicas that share a ledger own everybody; number them with replica"


def _given(
    flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None, problems: list[str]
) -> Iterator[tuple[str, Any, str]]:
    for name, value in (_read(file, problems) if file else {}).items():
        yield name, value, str(file)
    for name in Settings.__struct_fields__:
        if (variable := PREFIX + name.upper()) in environment:
            yield name, environment[variable], variable
    for name, value in flags.items():
        if value is not None:
            yield name, value, "flag"


def _read(file: Path, problems: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(f"{file}: cannot be read: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{file}: expected TOML: {error}")
    return {}


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]}?" if close else "; see `touchpoint config show`"


def _unknown_variables(environment: Mapping[str, str], known: Mapping[str, Any]) -> Iterator[str]:
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX).lower()
        if (
            variable.startswith(PREFIX)
            and name not in known
            and name != "config"
            and difflib.get_close_matches(name, known, 1, 0.8)
        ):
            yield f"{variable}: no such setting{_nearest(name, known)}"
