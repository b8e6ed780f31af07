"""SubscriberService's messages to and from the engine's descriptions and changes."""

from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError, Message
from touchpoint.v1 import subscriber_service_pb2 as pb

from engine.base.changes import Change, ChangeError, ErasedSubscriberError, Said, UnknownSubscriberError
from engine.base.describe import Description
from engine.base.overlay import OverlayFullError
from engine.base.values import Value
from engine.catalogue.model import Catalogue
from engine.limits import ATTRIBUTES_MAX, CONSENT_PAIRS_MAX, LABELS_MAX
from server.failure import Code, Failure, RefusedError, Violation, invalid
from server.names import Index
from server.values import attribute_value, instant_us, message_value, timestamp

M = TypeVar("M", bound=Message)

_SAID: Final[dict[int, Said]] = {1: "granted", 2: "refused", 3: "withdrawn"}
_STATES: Final = {"granted": pb.CONSENT_STATE_GRANTED, "refused": pb.CONSENT_STATE_REFUSED}
FUTURE_MAX_US: Final = 300_000_000
"""How far ahead of the server's clock a change may say it became so."""


def parsed(kind: type[M], payload: bytes) -> M:
    """Return the message; raises RefusedError when the bytes are none."""
    try:
        return kind.FromString(payload)
    except DecodeError:
        raise invalid(
            "", f"expected the bytes of a touchpoint.v1.{kind.DESCRIPTOR.name}, were something else"
        ) from None


def described(description: Description, catalogue: Catalogue, base_version: str) -> bytes:
    """Return the GetSubscriberResponse's bytes; raises RefusedError with NOT_FOUND for one of whom nothing is known."""
    response = pb.GetSubscriberResponse(base_version=base_version)
    if description.found == "erased":
        response.erased = True
        return response.SerializeToString()
    if description.found == "unknown" and all(consent.said == "nothing" for consent in description.consent):
        raise RefusedError(Failure(Code.NOT_FOUND, "nothing is known of this subscriber"))
    types = {attribute.id: attribute.type for attribute in catalogue.attributes}
    for label in description.labels:
        response.labels.add(
            id=label.id, set_at=timestamp(label.set_us), stale=not label.fresh, live=label.source == "live"
        )
    for attribute in description.attributes:
        response.attributes[attribute.id].CopyFrom(message_value(attribute.value, types[attribute.id]))
    for consent in description.consent:
        if consent.said != "nothing":
            purpose, _, channel = consent.pair.partition("/")
            response.consents.add(purpose=purpose, channel=channel, state=_STATES[consent.said])
    response.zone, response.language = description.zone or "", description.language or ""
    if description.as_of_us is not None:
        response.as_of.CopyFrom(timestamp(description.as_of_us))
    return response.SerializeToString()


class ChangeReader:
    """Turns UpdateSubscriber requests into changes for one catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._labels = Index("label", [label.id for label in catalogue.labels])
        self._attributes = Index("attribute", [attribute.id for attribute in catalogue.attributes])
        self._types = [attribute.type for attribute in catalogue.attributes]
        self._purposes = Index("purpose", [purpose.id for purpose in catalogue.contact_policy.purposes])
        self._channels = Index("channel", [channel.id for channel in catalogue.channels])

    def read(self, request: Any, now_us: int) -> Change:
        """Return the change that an UpdateSubscriberRequest asks for; raises RefusedError."""
        at_us = instant_us(request.at, "at") if request.HasField("at") else now_us
        if at_us > now_us + FUTURE_MAX_US:
            raise invalid("at", "expected an instant that is not after now")
        for path, count_max in (
            ("labels", LABELS_MAX),
            ("attributes", ATTRIBUTES_MAX),
            ("consents", CONSENT_PAIRS_MAX),
        ):
            if len(getattr(request, path)) > count_max:
                raise invalid(path, f"expected at most {count_max:,}, were {len(getattr(request, path)):,}")
        return Change(
            at_us=min(at_us, now_us),
            labels=self._label_changes(request),
            attributes=self._attribute_changes(request),
            consent=self._consents(request),
            language=request.language if request.HasField("language") else None,
            zone=request.zone if request.HasField("zone") else None,
        )

    def _label_changes(self, request: Any) -> dict[str, bool]:
        changes: dict[str, bool] = {}
        for place, change in enumerate(request.labels):
            self._labels.number(change.id, f"labels[{place}].id")
            if changes.setdefault(change.id, change.present) != change.present:
                raise invalid(f"labels[{place}].id", f"{change.id} is both set and taken away; say one")
        return changes

    def _attribute_changes(self, request: Any) -> dict[str, Value | None]:
        changes: dict[str, Value | None] = {}
        for place, change in enumerate(request.attributes):
            number = self._attributes.number(change.id, f"attributes[{place}].id")
            if change.id in changes:
                raise invalid(f"attributes[{place}].id", f"{change.id} is changed twice; say one value")
            path = f"attributes[{place}].value"
            changes[change.id] = (
                attribute_value(change.value, self._types[number], path) if change.HasField("value") else None
            )
        return changes

    def _consents(self, request: Any) -> dict[str, Said]:
        said: dict[str, Said] = {}
        for place, consent in enumerate(request.consents):
            path = f"consents[{place}]"
            self._purposes.number(consent.purpose, f"{path}.purpose")
            if consent.channel:
                self._channels.number(consent.channel, f"{path}.channel")
            if consent.state not in _SAID:
                raise invalid(f"{path}.state", "expected granted, refused or withdrawn")
            for channel in [consent.channel] if consent.channel else self._channels.names:
                if said.setdefault(f"{consent.purpose}/{channel}", _SAID[consent.state]) != _SAID[consent.state]:
                    raise invalid(path, f"{consent.purpose} on {channel} is said in two ways; say one")
        return said


def change_failure(error: Exception) -> Failure | None:
    """Return what a caller is told when the engine refuses a change; None for errors of other kinds."""
    if isinstance(error, UnknownSubscriberError):
        return Failure(
            Code.NOT_FOUND, "the base does not hold this subscriber; only consent can be changed, or erasure"
        )
    if isinstance(error, ErasedSubscriberError):
        return Failure(Code.FAILED_PRECONDITION, "this subscriber was erased; nothing can be changed")
    if isinstance(error, ChangeError):
        problems = tuple(Violation(_path(problem), problem) for problem in error.problems)
        return Failure(Code.INVALID_ARGUMENT, "; ".join(error.problems), problems)
    if isinstance(error, OverlayFullError):
        return Failure(Code.RESOURCE_EXHAUSTED, "there is no room for more live changes until a new base is loaded")
    return None


def _path(problem: str) -> str:
    return {"label": "labels", "attribute": "attributes", "consent": "consents"}.get(*([problem.partition(" ")[0]] * 2))
