"""The requests of a table, which are decided together: rows as the reader takes them, and any row as the message that would ask the same."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from touchpoint.v1 import decision_service_pb2, value_pb2

from engine.jit import frozen
from engine.limits import BATCH_ITEMS_MAX, OFFERS_PER_ANSWER_MAX, TRIGGER_FIELDS_MAX
from loaders.columns.stream import ColumnsError
from loaders.columns.table import Table, Wanted, read_table
from loaders.columns.texts import TextColumn
from loaders.columns.values import Kind, ValueColumn
from server.codec.kernels import message
from server.codec.request_tables import ASSUMED, DRY, SEATS, SHEET_NUMBERS, TIME_NANOS, TIME_SECONDS, Sheet
from server.failure import Code, Failure, RefusedError, Violation, invalid

_TEXTS: Final = {
    "request_id": message.REQUEST_ID,
    "subscriber": message.SUBSCRIBER,
    "trigger": message.TYPE,
    "placement": message.PLACEMENT,
    "channel": message.CHANNEL,
    "language": message.LANGUAGE,
    "tool": message.TOOL,
    "agent": message.AGENT,
    "outlet": message.OUTLET,
}
_NUMBERS: Final = {
    "max_offers": Kind.INT,
    "dry_run": Kind.BOOL,
    "trigger_time": Kind.TIMESTAMP,
    "assumed_now": Kind.TIMESTAMP,
}
_FIELD: Final = "field."
_WANTED: Final = Wanted(
    columns=dict.fromkeys(_TEXTS, Kind.STRING) | _NUMBERS,
    needed=("request_id", "subscriber", "channel"),
    prefix=_FIELD,
    prefixed_max=TRIGGER_FIELDS_MAX,
)
_PART_ROWS_FIRST: Final = 256
_PART_ODD_MAX: Final = 16
_MAX_OFFERS_MAX: Final = (1 << 32) - 1
_TRIGGERS_OWN: Final = "expected only with a trigger; take it out, or name the trigger instead of a placement"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows [start, end) of a table of requests."""

    table: Table
    sheet: Sheet
    """Of the whole table; `field_column` and `field_begun` are the reader's to fill."""
    fields: tuple[str, ...]
    """Names of the trigger fields, as the sheet has them."""
    start: int
    end: int
    odd: list[int] = field(default_factory=list)
    """How many rows of each part that was read were not in usual form; the parts of a table share it."""

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self.end - self.start

    def pieces(self, rows_max: int) -> Iterator["Rows"]:
        """Yield the rows in order, at most `rows_max` at a time, and fewer until a part has been read that shows that most are in usual form.

        A row that is not takes 20 to 100 times as long to read, and others wait.
        """
        start = self.start
        while start < self.end:
            usual = self.odd and self.odd[-1] <= _PART_ODD_MAX
            end = min(start + (rows_max if usual else min(rows_max, _PART_ROWS_FIRST)), self.end)
            yield replace(self, start=start, end=end)
            start = end

    @property
    def subscribers(self) -> list[str | None]:
        """The rows' keys as they were sent."""
        column = self.table.texts.get("subscriber")
        if column is None:
            return [None] * len(self)
        return [_text_at(self.table.text, column, row) for row in range(self.start, self.end)]

    @property
    def text(self) -> bytes:
        """What the spans of texts lie in."""
        return self.table.text

    @property
    def item_at(self) -> npt.NDArray[np.int64]:
        """The rows' numbers in the table: a request without bytes is found by them."""
        return np.arange(self.start, self.end)

    @property
    def item_bytes(self) -> npt.NDArray[np.int32]:
        """No row has bytes of a message."""
        return np.zeros(len(self), np.int32)

    def payload(self, item: int) -> bytes:
        """Return the DecideRequest that asks what a row asks, the rows here counted from 0; raises RefusedError where no message can."""
        payload: bytes = self.message(self.start + item).SerializeToString()
        return payload

    def message(self, row: int) -> Any:
        """Return the DecideRequest that asks what a row of the table asks; raises RefusedError where no message can."""
        asked = decision_service_pb2.DecideRequest()
        table = self.table
        for name, column in table.texts.items():
            text = _text_at(table.text, column, row)
            if text is not None and name in _TEXTS and name != "trigger":
                setattr(asked, name, text)
        trigger = _text_at(table.text, table.texts["trigger"], row) if "trigger" in table.texts else None
        fields = [name for name in self.fields if self._has(f"{_FIELD}{name}", row)]
        if trigger is not None:
            if asked.HasField("placement"):
                raise invalid("placement", "expected a trigger or a placement, were both")
            asked.trigger.type = trigger
        elif asked.HasField("placement"):
            if self._has("trigger_time", row):
                raise invalid("trigger.time", _TRIGGERS_OWN)
            if fields:
                raise invalid(f"trigger.fields[{fields[0]:.80}]", _TRIGGERS_OWN)
        self._set_numbers(asked, row)
        for name in fields if trigger is not None else ():
            asked.trigger.fields[name].CopyFrom(self._value(f"{_FIELD}{name}", row))
        return asked

    def _has(self, name: str, row: int) -> bool:
        if name in self.table.values:
            return bool(self.table.values[name].known[row])
        return name in self.table.texts and bool(self.table.texts[name].code[row] >= 0)

    def _set_numbers(self, asked: Any, row: int) -> None:
        values = self.table.values
        if self._has("max_offers", row):
            seats = int(values["max_offers"].value[row])
            if not 0 <= seats <= _MAX_OFFERS_MAX:
                raise invalid("max_offers", f"expected 1 to {OFFERS_PER_ANSWER_MAX}, was {seats:,}")
            asked.max_offers = seats
        if self._has("dry_run", row):
            asked.dry_run = bool(values["dry_run"].value[row])
        if self._has("trigger_time", row) and asked.HasField("trigger"):
            asked.trigger.time.CopyFrom(_instant(values["trigger_time"], row))
        if self._has("assumed_now", row):
            asked.assumed_now.CopyFrom(_instant(values["assumed_now"], row))

    def _value(self, name: str, row: int) -> value_pb2.Value:
        if name in self.table.texts:
            return value_pb2.Value(string_value=_text_at(self.table.text, self.table.texts[name], row) or "")
        column = self.table.values[name]
        number = int(column.value[row])
        if column.kind is Kind.BOOL:
            return value_pb2.Value(bool_value=bool(number))
        if column.kind is Kind.INT:
            return value_pb2.Value(int_value=number)
        if column.kind is Kind.DOUBLE:
            return value_pb2.Value(double_value=float(column.value[row : row + 1].view(np.float64)[0]))
        if column.kind is Kind.TIMESTAMP:
            return value_pb2.Value(timestamp_value=_instant(column, row))
        return value_pb2.Value(duration_value=Duration(seconds=number, nanos=int(column.nanos[row])))


def rows_of(data: bytes) -> Rows:
    """Return the requests of an Arrow IPC stream; raises RefusedError naming the column at fault."""
    try:
        table = read_table(data, BATCH_ITEMS_MAX, _WANTED)
        if not {"trigger", "placement"} & (table.texts.keys() | table.values.keys()):
            raise ColumnsError("trigger", "expected a column trigger or a column placement of utf8, was neither")
    except ColumnsError as error:
        path = f"table[{error.column:.80}]" if error.column else "table"
        code = Code.RESOURCE_EXHAUSTED if error.too_much else Code.INVALID_ARGUMENT
        raise RefusedError(Failure(code, f"{path}: {error}", (Violation(path, str(error)),))) from None
    fields = tuple(name for name in (*table.texts, *table.values) if name.startswith(_FIELD))
    return Rows(table, _sheet(table, fields), tuple(name.removeprefix(_FIELD) for name in fields), 0, table.rows)


def _sheet(table: Table, fields: tuple[str, ...]) -> Sheet:
    """Return the table's columns as kernels read them: entries of all texts one behind the other."""
    firsts = dict(zip(table.texts, np.cumsum([0, *(len(t.at) for t in table.texts.values())]), strict=False))
    asked = [name for name in table.texts if name in _TEXTS]
    none = np.zeros(0, np.int64)
    number = np.zeros((SHEET_NUMBERS, table.rows), np.int64)
    known = np.zeros((SHEET_NUMBERS, table.rows), np.uint8)
    for place, name in (
        (SEATS, "max_offers"),
        (DRY, "dry_run"),
        (TIME_SECONDS, "trigger_time"),
        (ASSUMED, "assumed_now"),
    ):
        if name in table.values:
            number[place], known[place] = table.values[name].value, table.values[name].known
    if "trigger_time" in table.values:
        number[TIME_NANOS] = table.values["trigger_time"].nanos
    code = np.empty((len(asked), table.rows), np.int32)
    for place, name in enumerate(asked):
        code[place] = table.texts[name].code
    values = [_field(table, name, int(firsts.get(name, 0))) for name in fields]
    shape = (len(fields), table.rows)
    return Sheet(
        text=np.frombuffer(table.text, np.uint8),
        entry_at=frozen(np.concatenate([none, *(t.at for t in table.texts.values())])),
        entry_bytes=frozen(np.concatenate([none.astype(np.int32), *(t.size for t in table.texts.values())])),
        part=frozen(np.array([_TEXTS[name] for name in asked], np.int32)),
        first=frozen(np.array([firsts[name] for name in asked], np.int32)),
        code=frozen(code),
        number=frozen(number),
        known=frozen(known),
        field_kind=frozen(np.array([column.kind for column in values], np.int32)),
        field_column=frozen(np.zeros(len(fields), np.int32)),
        field_begun=frozen(np.zeros((len(fields), 4), np.uint64)),
        field_value=frozen(np.array([column.value for column in values], np.int64).reshape(shape)),
        field_nanos=frozen(np.array([column.nanos for column in values], np.int32).reshape(shape)),
        field_known=frozen(np.array([column.known for column in values], np.uint8).reshape(shape)),
    )


def _field(table: Table, name: str, first: int) -> ValueColumn:
    """Return a trigger field's column; of texts the value is the entry."""
    if name in table.values:
        return table.values[name]
    column = table.texts[name]
    entry = np.maximum(column.code, 0) + np.int64(first)
    return ValueColumn(Kind.STRING, entry, np.zeros(table.rows, np.int32), (column.code >= 0).astype(np.uint8))


def _text_at(data: bytes, column: TextColumn, row: int) -> str | None:
    entry = int(column.code[row])
    if entry < 0:
        return None
    start = int(column.at[entry])
    return data[start : start + int(column.size[entry])].decode()


def _instant(column: ValueColumn, row: int) -> Timestamp:
    return Timestamp(seconds=int(column.value[row]), nanos=int(column.nanos[row]))
