"""All files of a catalogue put together: lists joined, every id known, clashes and references to nothing noted."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from loaders.catalogue.document import Scalar, parse_document
from loaders.catalogue.files import read_files
from loaders.catalogue.format import FILE, LISTS, REQUIRED
from loaders.catalogue.problems import Place, a_kind, shown
from loaders.catalogue.reading import WRONG, Entry, Reading
from loaders.catalogue.records import WHOLE_FILE

Ids = dict[str, Entry]


@dataclass(slots=True)
class Gathered:
    """The whole catalogue as read, in the order of the files."""

    whole: Entry
    """Single fields by name, from whichever file has them, and lists joined."""
    ids: dict[str, Ids] = field(default_factory=dict)
    """Kind of thing -> id -> the first entry with that id, also when something in it is wrong."""

    def entries(self, name: str) -> list[Entry]:
        """Return the entries of a list of the whole, or of the contact policy."""
        found: list[Entry] = self.whole.get(name) or []
        return found

    def policy(self, name: str) -> list[Entry]:
        """Return the entries of a list of the contact policy."""
        policy: Entry | None = self.whole.get("contact_policy")
        found: list[Entry] = (policy.get(name) if policy is not None else None) or []
        return found


def gather(folder: Path, reading: Reading) -> Gathered:
    """Read every file of the folder; mistakes are noted in `reading`."""
    gathered = Gathered(Entry(Place(str(folder), 1, 1), {name: [] for name in LISTS}, {}))
    first = True
    before = reading.problems.count
    for name, text in read_files(folder, reading.problems):
        count = reading.problems.count
        root = parse_document(name, text, reading.problems) if text is not None else None
        read = FILE.read(root, WHOLE_FILE, reading) if root is not None else WRONG
        if isinstance(read, Entry):
            if first:
                gathered.whole.place = Place(name, 1, 1)
                first = False
            _join(gathered.whole, read, reading)
        elif text is None or reading.problems.count > count:
            reading.incomplete = True
    reading.incomplete = reading.incomplete or (first and reading.problems.count > before)
    _require(gathered.whole, reading)
    _name_all(gathered, reading)
    _look_up(gathered, reading)
    return gathered


def _join(whole: Entry, part: Entry, reading: Reading) -> None:
    for name, node in part.nodes.items():
        if name in LISTS:
            whole.values[name].extend(part.get(name) or [])
        elif name in whole.nodes:
            there = whole.at(name)
            advice = f"keep this or the one at {there.file}:{there.line}"
            reading.problems.add(node.place, f"{name}: expected once in all files", "there again", advice)
            continue
        elif name in part.values:
            whole.values[name] = part.values[name]
        whole.nodes.setdefault(name, node)
        whole.wrong.update(part.wrong & {name})


def _require(whole: Entry, reading: Reading) -> None:
    if reading.incomplete:
        return
    for item in FILE.fields:
        if item.name in REQUIRED and item.name not in whole.nodes:
            advice = f"add {item.name}: {item.description}"
            reading.problems.add(whole.place, f"catalogue: expected {item.name} in one of its files", "in none", advice)


def _name_all(gathered: Gathered, reading: Reading) -> None:
    for name in LISTS:
        gathered.ids[name.removesuffix("s")] = _named(name, gathered.entries(name), reading)
    for kind, name in (("purpose", "purposes"), ("quiet hours", "quiet_hours"), ("cap", "caps")):
        gathered.ids[kind] = _named(f"contact_policy.{name}", gathered.policy(name), reading)
    gathered.ids["channel class"] = _used("class", gathered.entries("channels"))
    gathered.ids["category"] = _used("category", gathered.entries("products"))


def _used(name: str, entries: Iterable[Entry]) -> Ids:
    """Return the ids that stand in a field of other things, with the first thing that uses each."""
    used: Ids = {}
    for entry in entries:
        node = entry.nodes.get(name)
        if isinstance(node, Scalar):
            used.setdefault(node.text, entry)
    return used


def _named(what: str, entries: Iterable[Entry], reading: Reading) -> Ids:
    named: Ids = {}
    for entry in entries:
        if entry.id not in named:
            named[entry.id] = entry
        elif entry.id:
            there = named[entry.id].at("id")
            advice = f"rename this one or the first, at {there.file}:{there.line}"
            reading.problems.add(entry.at("id"), f"{what}: expected each id once", f"{shown(entry.id)} again", advice)
    return named


def _look_up(gathered: Gathered, reading: Reading) -> None:
    if reading.incomplete:
        return
    for kind, what, word in reading.references:
        known = gathered.ids[kind]
        if word not in known:
            advice = reading.problems.nearest(word, known, f"add that {kind}, or take the name out")
            reading.problems.add(word.place, f"{what}: expected the id of {a_kind(kind)}", shown(word), advice)
