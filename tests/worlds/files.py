"""A plain catalogue as the YAML files that authors write, and rows as a base snapshot."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from engine.base.keys import SubscriberKeys
from engine.base.schema import BaseSchema
from engine.base.snapshot import Snapshot, open_current
from engine.base.write import write_snapshot
from tests.engine.base.world import Person, records_of
from tests.oracle.cel import Timestamp
from tests.oracle.numbers import SECOND_US
from tests.worlds.catalogues import Plain
from tests.worlds.people import Row


class Unshared(yaml.SafeDumper):
    """Writes every value out, as the loader asks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write_catalogue(folder: Path, plain: Plain) -> None:
    """Write the catalogue as one YAML file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "world.yaml").write_text(yaml.dump(plain, Dumper=Unshared, sort_keys=False))


def write_base(folder: Path, schema: BaseSchema, rows: list[Row], keys: SubscriberKeys, as_of_us: int) -> Snapshot:
    """Write the rows, each with an as-of of its own, and open them."""
    people = [person(row) for row in rows]
    records, texts = records_of(schema, people, rows_as_of=True)
    write_snapshot(folder, records, texts, keys, as_of_us=as_of_us, has_as_of=True)
    return open_current(folder, keys)


def person(row: Row) -> Person:
    """A row as the base's columns take it."""
    return Person(
        key=row.key,
        labels=set(row.labels),
        values={name: encoded(value) for name, value in row.attributes.items()},
        granted={"/".join(pair) for pair in row.granted},
        refused={"/".join(pair) for pair in row.refused},
        zone=row.zone,
        language=row.language,
        as_of_s=row.as_of_us // SECOND_US,
    )


def encoded(value: Any) -> Any:
    """Decimals with two digits are kept as hundredths, instants as microseconds."""
    if isinstance(value, Timestamp):
        return value.ns // 1000
    return int(value * 100) if isinstance(value, Decimal) else value
