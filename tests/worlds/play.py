"""Plays a script's commands on the oracle."""

from typing import Any

from tests.oracle.catalogue import read_catalogue
from tests.oracle.oracle import Oracle
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
from tests.worlds.people import subscriber
from tests.worlds.world import hash_of


def play(oracle: Oracle, command: Command) -> Any:
    """Do what the command says and return the answer: a list of Answers, an Answer, an outcome's result, a HandOff, or None."""
    match command:
        case Decide(requests):
            return oracle.decide_batch(list(requests))
        case Explain(request):
            return oracle.decide(request)
        case Record(outcome, _, now_us):
            return oracle.record(outcome, now_us)
        case CheckHandOff(decision, rank, _, now_us):
            return oracle.check_hand_off(decision, rank, now_us)
        case _:
            return change(oracle, command)


def change(oracle: Oracle, command: Command) -> None:
    match command:
        case SetLabel(key, label, present, at_us):
            oracle.say(hash_of(key), "label", label, present, at_us)
        case SetAttribute(key, attribute, value, at_us):
            oracle.say(hash_of(key), "attribute", attribute, value, at_us)
        case SetConsent(key, purpose, channel, said, at_us):
            oracle.say(hash_of(key), "consent", (purpose, channel), said, at_us)
        case SetPlace(key, zone, language, at_us):
            for kind, name in (("zone", zone), ("language", language)):
                if name is not None:
                    oracle.say(hash_of(key), kind, "", name, at_us)
        case Forget(key, _):
            oracle.forget(hash_of(key))
        case Edit(catalogue, _):
            oracle.edit(read_catalogue(catalogue))
        case NewBase(rows, as_of_us, catalogue, _):
            if catalogue is not None:
                oracle.edit(read_catalogue(catalogue))
            oracle.new_base([(subscriber(row, hash_of(row.key)), row.as_of_us) for row in rows], as_of_us)
        case TrustClock(trusted):
            oracle.clock_trusted = trusted
