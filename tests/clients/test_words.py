"""Every reason of the contract can be said in plain words, and the command's words are the contract's."""

from touchpoint.v1.outcome_service_pb2 import OutcomeKind
from touchpoint.v1.reason_pb2 import Reason, Stage

from clients.commands.outcome import KINDS
from clients.outcomes import KINDS as CONTRACT_KINDS
from clients.words import REASONS, reason_name, reason_words, stage_name


def test_every_reason_has_words() -> None:
    assert set(REASONS) == {
        name.removeprefix("REASON_") for name in Reason.DESCRIPTOR.values_by_name if name != "REASON_UNSPECIFIED"
    }


def test_reason_of_a_newer_server_is_shown_as_its_number() -> None:
    assert reason_name(999) == "999"
    assert reason_words(999) == "999"
    assert stage_name(99) == "99"


def test_kinds_of_outcomes_are_those_of_the_contract() -> None:
    assert KINDS == CONTRACT_KINDS
    assert len(KINDS) == len(OutcomeKind.DESCRIPTOR.values) - 1


def test_stage_name_is_short() -> None:
    assert stage_name(Stage.STAGE_QUIET_HOURS) == "quiet_hours"
