"""Plays a script's commands on the real engine, and puts its answers into the oracle's words."""

import struct
from dataclasses import asdict, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.base.changes import Change
from engine.base.overlay import Overlay
from engine.base.schema import base_schema_of
from engine.base.snapshot import Snapshot
from engine.batch import DRY_RUN, Batch, Decisions
from engine.deciding import settle_at_once
from engine.engine import Engine
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.ledger.port import OutcomeKind, OutcomeResult, Outcomes
from engine.limits import NEVER_US
from engine.reasons import Reason
from engine.rulebook import Rulebook
from loaders.catalogue.load import compile_catalogue
from tests.engine.base.world import KEYS
from tests.oracle.cel import Timestamp
from tests.oracle.decide import Answer, Request
from tests.oracle.ledger import Outcome
from tests.oracle.numbers import SECOND_US
from tests.oracle.oracle import HandOff
from tests.worlds.catalogues import Plain
from tests.worlds.commands import (
    CheckHandOff,
    Command,
    Decide,
    Edit,
    Explain,
    Forget,
    NewBase,
    Record,
    SetAttribute,
    SetConsent,
    SetLabel,
    SetPlace,
    TrustClock,
)
from tests.worlds.files import write_base, write_catalogue
from tests.worlds.world import World, hash_of


def fresh_engine(rulebook: Rulebook, snapshot: Snapshot, now_us: int) -> Engine:
    """An engine that has met nobody."""
    ledger = MemoryLedger(4096, RingAnswers(1 << 24), outcomes_max=4096)
    return Engine(rulebook, snapshot, Overlay(64, 512), ledger, now_us)


def digest(*parts: Any) -> int:
    """64 bits of whatever the parts say."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest(), "little")


class EngineDriver:
    """One engine in one world."""

    def __init__(self, world: World, folder: Path) -> None:
        """Build the world's catalogue and base below `folder`."""
        self.folder = folder
        self.edits = 0
        self.decided = 0
        rulebook = self.rulebook(world.catalogue, world.shape.start_us)
        self.schema = base_schema_of(rulebook.catalogue)
        """Of every base of the world: that of its first catalogue."""
        snapshot = write_base(folder / "base", self.schema, world.rows, KEYS, world.shape.start_us)
        self.engine = fresh_engine(rulebook, snapshot, world.shape.start_us)

    def restart(self, now_us: int) -> None:
        """Begin anew with the same rulebook and base: no contacts, no live changes."""
        self.engine = fresh_engine(self.engine.rulebook, self.engine.snapshot, now_us)

    def rulebook(self, plain: Plain, now_us: int) -> Rulebook:
        folder = self.folder / f"catalogue_{self.edits}"
        write_catalogue(folder, plain)
        return compile_catalogue(folder, now_us=now_us)

    def play(self, command: Command) -> Any:
        """Do what the command says; answers are those of tests.worlds.play.play."""
        with np.errstate(over="ignore"):  # The mixers wrap, which NumPy reports when kernels run uncompiled.
            return self.answered(command)

    def answered(self, command: Command) -> Any:
        match command:
            case Decide(requests):
                return self.decide(list(requests))
            case Explain(request):
                return self.explain(request)
            case Record(outcome, subscriber, now_us):
                return self.record(outcome, subscriber, now_us)
            case CheckHandOff(decision, rank, subscriber, now_us):
                found = self.engine.check_hand_off((subscriber, decision, rank), now_us)
                until = None if found.not_before_us == NEVER_US else found.not_before_us
                unnamed = "OFFERED" if found.verdict.name == "YES" else "HOLD_ENDED"
                return HandOff(found.verdict.name.lower(), found.reason.name if found.reason else unnamed, until)
            case _:
                return self.change(command)

    def change(self, command: Command) -> None:
        match command:
            case SetLabel() | SetAttribute() | SetConsent() | SetPlace():
                self.engine.update(hash_of(command.key), change_of(command))
            case Forget(key, _):
                self.engine.forget(hash_of(key))
            case Edit(catalogue, now_us):
                self.edits += 1
                self.engine.swap(self.rulebook(catalogue, now_us), self.engine.snapshot, now_us)
            case NewBase():
                self.new_base(command)
            case TrustClock(trusted):
                self.engine.push_stopped = not trusted

    def new_base(self, command: NewBase) -> None:
        self.edits += 1
        rulebook = self.engine.rulebook
        if command.catalogue is not None:
            rulebook = self.rulebook(command.catalogue, command.now_us)
        rows = list(command.rows)
        snapshot = write_base(self.folder / f"base_{self.edits}", self.schema, rows, KEYS, command.as_of_us)
        self.engine.swap(rulebook, snapshot, command.now_us)

    def batch(self, requests: list[Request]) -> Batch:
        batch = self.engine.new_batch(len(requests))
        self.engine.bound.conditions.interner.reset_if_needed(len(requests))
        batch.count = len(requests)
        for row, request in enumerate(requests):
            body = replace(request, now_us=0)
            batch.request[row] = (digest(request.id, request.subscriber), digest(request.subscriber, request.id))
            batch.body[row] = digest(asdict(body))
            batch.subscriber[row] = request.subscriber
            batch.trigger[row] = self.engine.bound.trigger_index[request.trigger]
            batch.channel[row] = self.engine.bound.channel_index[request.channel]
            batch.offers_max[row] = request.offers_max
            batch.flags[row] = DRY_RUN if request.dry_run else 0
            batch.now_us[row] = request.now_us
            if request.trigger_us is not None:
                batch.field_values[row, 0], nanos = divmod(request.trigger_us, SECOND_US)
                batch.field_nanos[row, 0], batch.field_known[row, 0] = nanos * 1000, 1
            for name, value in request.fields:
                self.fill(batch, row, name, value)
        return batch

    def fill(self, batch: Batch, row: int, name: str, value: Any) -> None:
        """Trigger fields of the worlds: doubles, strings and whole numbers."""
        bound = self.engine.bound
        at = bound.field_index[name]
        if isinstance(value, str):
            value = bound.conditions.interner.intern(bound.field_slot + at, value)
        elif isinstance(value, float):
            value = struct.unpack("<q", struct.pack("<d", value))[0]
        batch.field_values[row, at] = value
        batch.field_known[row, at] = 1

    def decide(self, requests: list[Request]) -> list[Answer]:
        self.decided += 1
        # By turns in one call where that can be, and step by step.
        at_once = settle_at_once if self.decided % 2 else None
        decisions = self.engine.decide(self.batch(requests), render, at_once)
        return [self.answer(decisions, row) for row in range(len(requests))]

    def explain(self, request: Request) -> tuple[Answer, dict[tuple[str, str], tuple[str, int | None, str]]]:
        """The answer, and reason, until and cap by candidate."""
        explanation = self.engine.explain(self.batch([request]))
        verdicts = {
            self.pair(found.candidate): (found.reason.name, instant(found.until_us), found.cap)
            for found in explanation.candidates
        }
        answer = self.answer(explanation.decisions, 0)
        answer.language = self.language(int(self.engine.bound.binding.languages[0]))
        return answer, verdicts

    def pair(self, candidate: int) -> tuple[str, str]:
        found = self.engine.bound.candidates[candidate]
        return found.campaign.id, found.offer.id

    def answer(self, decisions: Decisions, row: int) -> Answer:
        if decisions.conflict[row]:
            assert decisions.conflict[row] == 1, "the memory of answers is large enough"
            return Answer("", 0, conflict=True)
        if decisions.replayed[row]:
            return Answer("", 0, decision=int(decisions.text(row) or b""), replayed=True)
        count, would = int(decisions.chosen_count[row]), int(decisions.would_be_count[row])
        return Answer(
            reason=_name(int(decisions.reason[row])),
            now_us=int(decisions.now_us[row]),
            decision=int(decisions.decision[row]),
            chosen=[self.pair(int(c)) for c in decisions.chosen[row, :count]],
            scores=[float(s) for s in decisions.score[row, :count]],
            expires_us=int(decisions.expires_us[row]),
            not_before_us=int(decisions.not_before_us[row]),
            deadline_us=int(decisions.deadline_us[row]),
            language=self.language(int(decisions.language[row])),
            next_allowed_us=instant(int(decisions.next_allowed_us[row])),
            stages=[int(n) for n in decisions.stages[row]],
            would_be=[self.pair(int(c)) for c in decisions.would_be[row, :would]],
        )

    def language(self, code: int) -> str | None:
        return None if code < 0 else self.engine.bound.binding.language_names[code]

    def record(self, outcome: Outcome, subscriber: int, now_us: int) -> str:
        outcomes = Outcomes(
            outcome=np.array([[digest(outcome.id), digest("again", outcome.id)]], np.uint64),
            body=np.array([digest(asdict(outcome))], np.uint64),
            subscriber=np.array([subscriber], np.uint64),
            decision=np.array([outcome.decision], np.uint64),
            rank=np.array([outcome.rank], np.uint8),
            kind=np.array([OutcomeKind[outcome.kind.upper()]], np.uint8),
            event_us=np.array([outcome.event_us], np.int64),
        )
        return OutcomeResult(int(self.engine.record(outcomes, now_us)[0])).name


def change_of(command: SetLabel | SetAttribute | SetConsent | SetPlace) -> Change:
    """The engine's words for it."""
    match command:
        case SetLabel(_, label, present, at_us):
            return Change(at_us=at_us, labels={label: present})
        case SetAttribute(_, attribute, value, at_us):
            return Change(at_us=at_us, attributes={attribute: microseconds(value)})
        case SetConsent(_, purpose, channel, said, at_us):
            return Change(at_us=at_us, consent={f"{purpose}/{channel}": said})  # type: ignore[dict-item]
        case SetPlace(_, zone, language, at_us):
            return Change(at_us=at_us, zone=zone, language=language)


def microseconds(value: Any) -> Any:
    """Instants as live changes take them."""
    return value.ns // 1000 if isinstance(value, Timestamp) else value


def instant(at_us: int) -> int | None:
    return None if at_us == NEVER_US else at_us


def render(batch: Batch, decisions: Decisions, index: npt.NDArray[np.int64]) -> None:
    """What is remembered of an answer: its decision's number."""
    for item in index.tolist():
        decisions.write(item, str(int(decisions.decision[item])).encode())


def _name(reason: int) -> str:
    """Return a reason's name; of a number that is none, which no oracle says, the number."""
    return Reason(reason).name if reason in set(Reason) else f"reason {reason}"
