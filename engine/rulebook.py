"""A compiled catalogue: what serving loads. One file, no code in it, checked before it is used; serving needs no YAML and no CEL."""

from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from engine.bound_rules import Candidate, candidates_of
from engine.breathing import BYTES_AT_ONCE, breathe
from engine.catalogue.model import Catalogue
from engine.catalogue.slots import KnownSlots, schema_of
from engine.cel.conditions import Compiler, Condition, ConditionSet, assemble
from engine.cel.schema import Schema
from engine.piecemeal import decoded, encoded

FORMAT: Final = 1
_MAGIC: Final = b"touchpoint rulebook\n"
_DIGEST_BYTES: Final = 32
_BODY_AT: Final = len(_MAGIC) + _DIGEST_BYTES


class RulebookError(Exception):
    """A rulebook file cannot be used; says which, why, and what to do."""


class Rulebook(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The catalogue, and its distinct conditions compiled; everything else is derived when it is bound to a base and a ledger."""

    format: int
    catalogue: Catalogue
    conditions: ConditionSet
    """The distinct conditions, in order of first use by campaign id."""
    terms: tuple[tuple[str, ...], ...]
    """For each condition the source of each of its terms, for Explain."""
    campaign_conditions: tuple[int, ...]
    """For each campaign, by id: its condition's number, -1 when it takes everybody."""

    @property
    def schema(self) -> Schema:
        """The slots and labels that the conditions are compiled for."""
        return schema_of(self.catalogue)

    @cached_property
    def candidates(self) -> list[Candidate]:
        """The (campaign, offer) pairs in the order of their numbers."""
        return candidates_of(self.catalogue)

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that are the same for the same rules."""
        digest = blake2b(digest_size=8)
        for part in encoded(self):
            digest.update(part)
            breathe()
        return digest.hexdigest()


def compile_rulebook(catalogue: Catalogue, compiler: Compiler | None = None) -> Rulebook:
    """Return the compiled rulebook; raises engine.cel.errors.CelError for a condition that the catalogue's loader did not check.

    `compiler`: the loader's, of the same schema, which has most conditions already.
    """
    compiler = compiler or Compiler(schema_of(catalogue))
    known_slots = KnownSlots(catalogue)
    found: dict[int, int] = {}
    conditions: list[Condition] = []
    numbers = []
    for campaign in sorted(catalogue.campaigns, key=lambda c: c.id):
        if campaign.condition is None:
            numbers.append(-1)
            continue
        condition = compiler.compile(campaign.condition, known_slots.of(campaign))
        number = found.setdefault(id(condition), len(conditions))
        if number == len(conditions):
            conditions.append(condition)
        numbers.append(number)
    return Rulebook(
        format=FORMAT,
        catalogue=catalogue,
        conditions=assemble(conditions, compiler.schema),
        terms=_sources(conditions),
        campaign_conditions=tuple(numbers),
    )


def _sources(conditions: Sequence[Condition]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(term.source for term in condition.terms) for condition in conditions)


def encode_rulebook(rulebook: Rulebook) -> bytes:
    """Return the bytes of a rulebook file: a magic line, a BLAKE2b-256 of the rest, MessagePack."""
    body = msgspec.msgpack.encode(rulebook)
    return _MAGIC + _digest_of(body) + body


def checksum_of(data: bytes) -> bytes:
    """Return the checksum that a rulebook file's bytes state; the same for the same bytes."""
    return data[len(_MAGIC) : _BODY_AT]


def check_rulebook(data: bytes, name: str) -> None:
    """Raise RulebookError naming `name` when the bytes are not a rulebook file's, whole and as written."""
    if not data.startswith(_MAGIC):
        raise RulebookError(
            f"{name}: expected a compiled rulebook, was something else; make one with `touchpoint build`"
        )
    if _digest_of(memoryview(data)[_BODY_AT:]) != checksum_of(data):
        raise RulebookError(f"{name}: damaged, its checksum does not match; build it again with `touchpoint build`")


def decode_rulebook(data: bytes, name: str) -> Rulebook:
    """Return the rulebook; raises RulebookError naming `name` when the bytes are anything else."""
    check_rulebook(data, name)
    try:
        rulebook = decoded(memoryview(data)[_BODY_AT:], Rulebook)
    except msgspec.ValidationError as error:
        raise RulebookError(
            f"{name}: made by another version ({error}); build it again with `touchpoint build`"
        ) from None
    if rulebook.format != FORMAT:
        raise RulebookError(
            f"{name}: expected format {FORMAT}, was {rulebook.format}; build it again with `touchpoint build`"
        )
    return rulebook


def _digest_of(body: bytes | memoryview) -> bytes:
    digest = blake2b(digest_size=_DIGEST_BYTES)
    for start in range(0, len(body), BYTES_AT_ONCE):
        digest.update(body[start : start + BYTES_AT_ONCE])
        breathe()
    return digest.digest()


def save_rulebook(rulebook: Rulebook, path: Path) -> None:
    """Write the file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(encode_rulebook(rulebook))
    part.replace(path)


def read_rulebook(path: Path) -> bytes:
    """Return the bytes of a file; raises RulebookError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RulebookError(f"{path}: cannot be read ({error.strerror}); make it with `touchpoint build`") from None


def load_rulebook(path: Path) -> Rulebook:
    """Return the rulebook of a file; raises RulebookError."""
    return decode_rulebook(read_rulebook(path), str(path))
