"""What customers read and agents say: the catalogue's templates by candidate, channel and language, rendered with one subscriber's values."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from touchpoint.v1 import decision_pb2

from engine.bound import Bound
from engine.bound_rules import Candidate, propensity_of
from engine.catalogue.model import Channel, TriggerField
from engine.catalogue.slots import offer_texts, offer_variables, template_variables, trigger_fields
from engine.catalogue.terms import ChannelKind, ValueType
from engine.dtypes.view import new_view
from engine.jit import frozen
from engine.rulebook import Rulebook
from engine.templates import LENGTH_MAX, Template, compile_template, fixed_text, format_value, render
from engine.zones import zone_info
from server.codec.dtypes import Pieces
from server.values import slot_value

Lookup = Callable[[str], str | None]
CAMPAIGN: Final = "campaign.id"
GATHERED_MAX: Final = 256
"""Subscribers read at once for what messages say of them."""
_VARYING: Final = (-1, 0)
"""Pieces.words of words that vary."""


class Words(NamedTuple):
    """What a candidate says on one channel in one language, for where that varies by subscriber or trigger."""

    language: str
    """The language that the content really is in: the catalogue's default where the wanted one is missing."""
    content: Template
    script: Template | None
    texts: tuple[int, ...] | None
    """Slots of the subscriber's attributes when what varies is texts of a dictionary and nothing else: few people then hear anything new."""

    def said(self, lookup: Lookup) -> bytes:
        """Return fields 9 to 11 of the Offer, with what `lookup` knows."""
        return _said(render(self.content, lookup), render(self.script, lookup) if self.script else "", self.language)


class Content:
    """What every candidate of a rulebook says on every channel in every language, encoded once; a rulebook's own, whatever base it is bound to."""

    def __init__(self, rulebook: Rulebook) -> None:
        catalogue = rulebook.catalogue
        self.rulebook = rulebook
        self.varies = False
        """Whether there are words that `pieces` has not."""
        self._compiled: dict[tuple[int, int, int], Words] = {}
        self._languages = catalogue.languages
        self._variables = template_variables(catalogue)
        self._blob = bytearray()
        self._starts: dict[bytes, int] = {}
        self._candidates = rulebook.candidates()
        self.pieces = self._encoded(self._candidates)
        del self._blob, self._starts

    def _encoded(self, candidates: list[Candidate]) -> Pieces:
        channels = self.rulebook.catalogue.channels
        spans: list[tuple[int, int, int]] = []
        pairs = np.full((len(candidates), len(channels)), -1, np.int32)
        words: list[list[tuple[int, int]]] = []
        for number, candidate in enumerate(candidates):
            names, parts = _shared(candidate)
            start = self._start(names + parts)
            spans.append((start, start + len(names), start + len(names) + len(parts)))
            for place, channel in enumerate(channels):
                if channel.id in candidate.offer.content:
                    pairs[number, place] = len(words)
                    words.append(self._spans(candidate, channel))
        shared_at = np.array(spans, np.int64).reshape(-1, 3)
        words_at = np.array(words, np.int64).reshape(-1, len(self._languages), 2)
        most = [(shared_at[:, 2] - shared_at[:, 0]).max(initial=0), words_at[:, :, 1].max(initial=0)]
        return Pieces(
            blob=frozen(np.frombuffer(bytes(self._blob), np.uint8)),
            candidates=frozen(shared_at),
            pairs=frozen(pairs),
            words=frozen(words_at),
            push=frozen(np.array([channel.kind is ChannelKind.PUSH for channel in channels], np.uint8)),
            most=frozen(np.array(most, np.int64)),
        )

    def _start(self, piece: bytes) -> int:
        """Return where a piece stands in the blob; equal ones stand there once."""
        start = self._starts.setdefault(piece, len(self._blob))
        if start == len(self._blob):
            self._blob += piece
        return start

    def _spans(self, candidate: Candidate, channel: Channel) -> list[tuple[int, int]]:
        """Return the span of the candidate's words in each language."""
        known: dict[tuple[str, str], tuple[int, int]] = {}
        spans = []
        for language in range(len(self._languages)):
            spoken = self._spoken(candidate, channel, language)
            if spoken not in known:
                known[spoken] = self._span(candidate, channel, *spoken)
            spans.append(known[spoken])
        return spans

    def _spoken(self, candidate: Candidate, channel: Channel, language: int) -> tuple[str, str]:
        """Return the languages of content and script: the wanted one where they are there in it, else the first; "" when there is no script."""
        wanted, first = self._languages[language], self._languages[0]
        lines = candidate.offer.script.get(channel.id)
        content = wanted if wanted in candidate.offer.content[channel.id] else first
        return content, (wanted if wanted in lines else first) if lines else ""

    def _span(self, candidate: Candidate, channel: Channel, spoken: str, script_in: str) -> tuple[int, int]:
        offer, chars_max = candidate.offer, channel.content_chars_max or LENGTH_MAX
        content = self._text(candidate, offer.content[channel.id][spoken], spoken, chars_max)
        script = self._text(candidate, offer.script[channel.id][script_in], script_in, LENGTH_MAX) if script_in else ""
        if content is None or script is None:
            self.varies = True
            return _VARYING
        piece = _said(content, script, spoken)
        return self._start(piece), len(piece)

    def _text(self, candidate: Candidate, source: str, spoken: str, chars_max: int) -> str | None:
        """Return a template's text when it says nothing but the candidate's own; None when it may say more."""
        if "{{" not in source:
            return source[:chars_max]
        texts = offer_texts(candidate.offer, candidate.product, self._order(spoken))
        return fixed_text(source, {**texts, CAMPAIGN: candidate.campaign.id}, length_max=chars_max)

    def _order(self, spoken: str) -> tuple[str, ...]:
        return (spoken, *(other for other in self._languages if other != spoken))

    def words(self, number: int, place: int, language: int) -> Words:
        """Return what a candidate (rulebook number) says on a channel in a language, compiled when it is first said."""
        key = (number, place, language)
        if key not in self._compiled:
            candidate, channel = self._candidates[number], self.rulebook.catalogue.channels[place]
            spoken, script_in = self._spoken(candidate, channel, language)
            offer, chars_max = candidate.offer, channel.content_chars_max or LENGTH_MAX
            content = self._template(candidate, offer.content[channel.id][spoken], spoken, chars_max)
            lines = offer.script[channel.id][script_in] if script_in else ""
            script = self._template(candidate, lines, script_in, LENGTH_MAX) if lines else None
            self._compiled[key] = Words(spoken, content, script, self._texts_of(content, script))
        return self._compiled[key]

    def _texts_of(self, *templates: Template | None) -> tuple[int, ...] | None:
        names = {name for template in templates if template for name in template.variables} - {CAMPAIGN}
        slots = {
            f"subscriber.{attribute.id}": slot
            for slot, attribute in enumerate(self.rulebook.catalogue.attributes)
            if attribute.type is ValueType.STRING
        }
        return tuple(slots[name] for name in sorted(names)) if names <= slots.keys() else None

    def _template(self, candidate: Candidate, source: str, spoken: str, chars_max: int) -> Template:
        fixed = offer_variables(candidate.offer, candidate.product, self._order(spoken))
        return compile_template(source, {**self._variables, **fixed}, length_max=chars_max)


def _shared(candidate: Candidate) -> tuple[bytes, bytes]:
    """Return fields 2 to 5 of the candidate's Offer, and 7 and 8. Nothing is drawn by lot, so its probability is 1."""
    names = decision_pb2.Offer(
        offer=candidate.offer.id,
        campaign=candidate.campaign.id,
        product=candidate.product.id,
        exclusive_group=candidate.product.exclusive_group or "",
    )
    parts = decision_pb2.Offer(parts=decision_pb2.ScoreParts(**parts_of(candidate)), probability=1.0)
    return names.SerializeToString(), parts.SerializeToString()


def _said(content: str, script: str, language: str) -> bytes:
    return decision_pb2.Offer(content=content, script=script, language=language).SerializeToString()


class Subscribers:
    """What messages may say of some subscribers of a batch."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        catalogue = bound.rulebook.catalogue
        slots = max(bound.slots, len(catalogue.attributes))
        self._view = new_view(GATHERED_MAX, bound.binding.label_words, slots)
        self._attributes = {attribute.id: (slot, attribute) for slot, attribute in enumerate(catalogue.attributes)}
        self._fields: dict[str, TriggerField] = {field.id: field for field in trigger_fields(catalogue)}
        self._zones = {name: zone_info(name) for name in bound.binding.zone_names}
        self._home = zone_info(catalogue.country.home_zone)
        self._texts: dict[int, dict[int, str]] = {}

    def gather(self, subscribers: npt.NDArray[np.uint64], now_us: npt.NDArray[np.int64]) -> None:
        """Read up to GATHERED_MAX subscribers at their instants."""
        self._bound.binding.gather(subscribers, now_us, self._view, 0, len(subscribers))

    def texts(self, row: int, slots: tuple[int, ...]) -> tuple[int, ...]:
        """Return the codes of a gathered row's texts, -1 where there is none."""
        view = self._view
        return tuple(int(view.values[row, slot]) if view.known[row, slot] else -1 for slot in slots)

    def lookup(self, row: int, candidate: Candidate, message: Any) -> Lookup:
        """Return how a template's names are looked up for a gathered row and the DecideRequest that it is about."""

        def find(name: str) -> str | None:
            family, _, rest = name.partition(".")
            if family == "subscriber":
                return self._attribute(row, rest)
            if family == "trigger":
                return self._field(row, rest, message)
            assert name == CAMPAIGN
            return candidate.campaign.id

        return find

    def _zone(self, row: int) -> ZoneInfo:
        zone = int(self._view.zone[row])
        return self._zones[self._bound.binding.zone_names[zone]] if zone >= 0 else self._home

    def _attribute(self, row: int, name: str) -> str | None:
        slot, attribute = self._attributes[name]
        if not self._view.known[row, slot]:
            return None
        value = int(self._view.values[row, slot])
        if attribute.type is ValueType.STRING:
            return self._text(slot, value)
        return format_value(attribute.type, value, int(self._view.nanos[row, slot]), attribute.scale, self._zone(row))

    def _text(self, slot: int, code: int) -> str:
        texts = self._texts.setdefault(slot, {})
        if code not in texts:
            texts.update({number: text for text, number in self._bound.binding.strings[slot].items()})
        return texts[code]

    def _field(self, row: int, name: str, message: Any) -> str | None:
        if name not in message.trigger.fields:
            return None
        field, value = self._fields[name], message.trigger.fields[name]
        if field.type is ValueType.STRING:
            return str(value.string_value)
        number, nanos = slot_value(value, field.type, name, lambda _: 0)
        return format_value(field.type, number, nanos, 0, self._zone(row))


PARTS: Final = ("priority", "propensity", "value", "lever")


def parts_of(candidate: Candidate) -> dict[str, float]:
    """Return the factors of a candidate's score by name."""
    offer = candidate.offer
    factors = (float(offer.priority), propensity_of(offer), offer.value, candidate.campaign.lever)
    return dict(zip(PARTS, factors, strict=True))
