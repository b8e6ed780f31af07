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
    Record,
    SetAttribute,
    SetConsent,
    SetLabel,
    TrustClock,
)
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
        case SetLabel(key, label, True, now_us):
            oracle.set_label(hash_of(key), label, now_us)
        case SetLabel(key, label, False, _):
            oracle.remove_label(hash_of(key), label)
        case SetAttribute(key, attribute, value, _):
            oracle.set_attribute(hash_of(key), attribute, value)
        case SetConsent(key, purpose, channel, granted, _):
            person = oracle.subscribers[hash_of(key)]
            (person.grant if granted else person.refuse)((purpose, channel))
        case Forget(key, _):
            oracle.forget(hash_of(key))
        case Edit(catalogue, _):
            oracle.edit(read_catalogue(catalogue))
        case TrustClock(trusted):
            oracle.clock_trusted = trusted
