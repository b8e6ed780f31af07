"""What lint reports: which rule, about what, what was found, why it is certain, what to do."""

from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """Error: part of the catalogue can never work. Warning: it surely does other than it seems to say. Note: it could be said shorter, or left out."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Subject(NamedTuple):
    """What a finding is about: a thing of the catalogue, one of its fields, and a part of that field's text."""

    kind: str
    """campaign, offer, channel, cap, quiet hours"""
    id: str
    field: str = ""
    part: str = ""
    """An item of the field's list, or a stretch of its text; "" for the whole."""


class Finding(NamedTuple):
    """One finding; every one is certain, whatever subscribers and requests come."""

    rule: str
    subject: Subject
    found: str
    because: str
    do: str
