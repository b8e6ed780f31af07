"""The demo made ready to serve: rulebook, base and hash secret in one folder, made once for each content and week.

The folder is named by a digest of what it is made from (the demo's data, the code of engine and loaders, the week), so that a second
start finds it and a change makes a new one. It is complete before it gets its name.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

FOLDER: Final = Path(__file__).parent
CATALOGUE: Final = FOLDER / "catalogue"
MAPPING: Final = FOLDER / "mapping.yaml"

SECRET: Final = blake2b(b"the demo's numbers are nobody's, so this is no secret", digest_size=16).digest()
"""Fixed, so that control groups and ties come out the same everywhere."""


class Prepared(NamedTuple):
    """Where the demo's parts are; the names are those of the server's settings."""

    rulebook: Path
    base: Path
    key_secret_file: Path


def cache_folder() -> Path:
    """Return where prepared demos are kept: $XDG_CACHE_HOME/touchpoint, or ~/.cache/touchpoint."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "touchpoint"


def prepare(now: datetime, say: Callable[[str], None], cache: Path | None = None) -> Prepared:
    """Return the demo's parts as of the week of `now` (aware), building them when they are not there yet."""
    monday = (now.astimezone(UTC) - timedelta(days=now.astimezone(UTC).weekday())).date()
    cache = cache or cache_folder()
    final = cache / f"demo-{monday:%Y%m%d}-{_content_digest()}"
    if not final.exists():
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        work = Path(tempfile.mkdtemp(prefix=".demo-", dir=cache))
        try:
            _build(work, datetime(monday.year, monday.month, monday.day, tzinfo=UTC), say)
            _publish(work, final)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return _parts(final)


def _publish(work: Path, final: Path) -> None:
    """Give the folder its name; whoever came first wins, since both made the same."""
    try:
        work.rename(final)
    except OSError:
        if not final.exists():
            raise


def _parts(folder: Path) -> Prepared:
    return Prepared(folder / "rulebook", folder / "base", folder / "key-secret")


def _build(folder: Path, as_of: datetime, say: Callable[[str], None]) -> None:
    # Imported here: a start that finds everything built needs neither Arrow nor CEL.
    from engine.base.schema import base_schema_of
    from engine.rulebook import save_rulebook
    from loaders.base.build import build_base
    from loaders.base.mapping import read_mapping
    from loaders.catalogue.load import compile_catalogue
    from loaders.demo.synthesis import write_wide

    as_of_us = int(as_of.timestamp()) * 1_000_000
    parts = _parts(folder)
    say("compiling the demo's catalogue")
    rulebook = compile_catalogue(CATALOGUE, now_us=as_of_us)
    save_rulebook(rulebook, parts.rulebook)
    say("building the demo's base")
    wide = folder / "wide.csv"
    write_wide(wide, as_of.strftime("%Y-%m-%dT%H:%M:%SZ"))
    schema = base_schema_of(rulebook.catalogue)
    report = build_base(wide, read_mapping(MAPPING, schema), schema, SECRET, parts.base, as_of_us=as_of_us)
    wide.unlink()
    if report.rows_rejected:
        raise RuntimeError(f"the demo's own table has bad rows: {'; '.join(map(str, report.reasons))}")
    parts.key_secret_file.write_text(SECRET.hex() + "\n", encoding="ascii")
    parts.key_secret_file.chmod(0o600)


def _content_digest() -> str:
    root = FOLDER.parent.parent
    paths = [
        path
        for part in ("engine", "loaders")
        for path in (root / part).rglob("*")
        if path.suffix in (".py", ".yaml", ".csv")
    ]
    digest = blake2b(digest_size=8)
    for path in sorted(paths):
        digest.update(f"{path.relative_to(root)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
