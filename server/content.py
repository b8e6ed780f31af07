"""What customers read and agents say: the catalogue's templates by candidate, channel and language, rendered with one subscriber's values."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from touchpoint.v1 import decision_pb2

from engine.bound import Bound
from engine.bound_rules import Candidate, propensity_of
from engine.breathing import array_of, breathe
from engine.catalogue.model import Channel, TriggerField
from engine.catalogue.slots import offer_texts, offer_variables, template_variables, trigger_fields
from engine.catalogue.terms import ChannelKind, ValueType
from engine.dtypes.view import new_view
from engine.jit import frozen
from engine.rulebook import Rulebook
from engine.templates import (
    LENGTH_MAX,
    Part,
    PartKind,
    Template,
    compile_template,
    filled_in,
    fixed_text,
    format_value,
    render,
)
from engine.zones import zone_info
from server.codec.dtypes import Pieces
from server.codec.saying_tables import SayingTables
from server.codec.sayings import Sayings
from server.values import slot_value

Lookup = Callable[[str], str | None]
CAMPAIGN: Final = "campaign.id"
GATHERED_MAX: Final = 256
"""Subscribers read at once for what messages say of them."""


class Words(NamedTuple):
    """What a candidate says on one channel in one language, for where that varies by subscriber or trigger."""

    language: str
    """The language that the content really is in: the catalogue's default where the wanted one is missing."""
    content: Template
    script: Template | None

    def said(self, lookup: Lookup) -> bytes:
        """Return fields 9 to 11 of the Offer, with what `lookup` knows."""
        return said(render(self.content, lookup), render(self.script, lookup) if self.script else "", self.language)


class _Made(NamedTuple):
    """Something that is said, and all that it was made of beside its key."""

    made_of: tuple[Any, ...]
    result: Any


class Content:
    """What every candidate of a rulebook says on every channel in every language, encoded once; a rulebook's own, whatever base it is bound to."""

    def __init__(self, rulebook: Rulebook, before: "Content | None" = None) -> None:
        """`before`: what an earlier rulebook's candidates say, of which what is the same is taken."""
        catalogue = rulebook.catalogue
        self.rulebook = rulebook
        self.words: list[Words] = []
        """By their numbers: those that `pieces` has not, because they vary; equal ones once."""
        self._numbers: dict[Words, int] = {}
        self._languages = catalogue.languages
        self._variables = template_variables(catalogue)
        known = before is not None and (before._languages, before._variables) == (self._languages, self._variables)
        self._before: dict[tuple[str, ...], _Made] = before._made if before is not None and known else {}
        self._made: dict[tuple[str, ...], _Made] = {}
        """By campaign, offer and what of them it is."""
        self._blob = bytearray()
        self._starts: dict[bytes, int] = {}
        spans = self._encoded(rulebook.candidates)
        tables = SayingTables(catalogue, self._start)
        for words in self.words:
            tables.add(words.content, words.script, said("", "", words.language))
            breathe()
        blob = frozen(np.frombuffer(bytes(self._blob), np.uint8))
        self.pieces: Pieces = spans._replace(blob=blob)
        self.sayings: Sayings = tables.sayings(blob)
        del self._blob, self._starts, self._numbers, self._before

    def items(self) -> list[Any]:
        """Return what it is made of, for whoever lets it go a little at a time."""
        return [*self.words, *self._made.items()]

    def _encoded(self, candidates: list[Candidate]) -> Pieces:
        channels = self.rulebook.catalogue.channels
        spans: list[tuple[int, int, int]] = []
        pairs = np.full((len(candidates), len(channels)), -1, np.int32)
        words: list[list[tuple[int, int]]] = []
        for number, candidate in enumerate(candidates):
            names, parts = self._shared(candidate)
            start = self._start(names + parts)
            spans.append((start, start + len(names), start + len(names) + len(parts)))
            for place, channel in enumerate(channels):
                if channel.id in candidate.offer.content:
                    pairs[number, place] = len(words)
                    words.append(self._spans(candidate, channel))
            breathe()
        shared_at = array_of(spans, np.int64, 3)
        words_at = array_of(words, np.int64, len(self._languages), 2)
        most = [(shared_at[:, 2] - shared_at[:, 0]).max(initial=0), words_at[:, :, 1].max(initial=0)]
        return Pieces(
            blob=frozen(np.empty(0, np.uint8)),
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
                breathe()
            spans.append(known[spoken])
        return spans

    def _spoken(self, candidate: Candidate, channel: Channel, language: int) -> tuple[str, str]:
        """Return the languages of content and script: the wanted one where they are there in it, else the first; "" when there is no script."""
        wanted, first = self._languages[language], self._languages[0]
        lines = candidate.offer.script.get(channel.id)
        content = wanted if wanted in candidate.offer.content[channel.id] else first
        return content, (wanted if wanted in lines else first) if lines else ""

    def _span(self, candidate: Candidate, channel: Channel, spoken: str, script_in: str) -> tuple[int, int]:
        """Return the span of words; (-1 - number, 0) of those that vary."""
        offer, chars_max = candidate.offer, channel.content_chars_max or LENGTH_MAX
        line = offer.script[channel.id][script_in] if script_in else ""
        made_of = offer.content[channel.id][spoken], line, chars_max, candidate.product

        def made() -> "bytes | Words":
            content = self._template(candidate, made_of[0], spoken, chars_max)
            script = self._template(candidate, line, script_in, LENGTH_MAX) if script_in else None
            texts = content.constant, script.constant if script else ""
            if texts[0] is None or texts[1] is None:
                return Words(spoken, content, script)
            return said(texts[0], texts[1], spoken)

        piece = self._once((candidate.campaign.id, offer.id, channel.id, spoken, script_in), made_of, made)
        return (-1 - self._number(piece), 0) if isinstance(piece, Words) else (self._start(piece), len(piece))

    def _shared(self, candidate: Candidate) -> tuple[bytes, bytes]:
        """Return fields 2 to 5 of the candidate's Offer, and 7 and 8."""
        factors, product = parts_of(candidate), candidate.product
        made_of = factors, product.id, product.exclusive_group
        ids = candidate.campaign.id, candidate.offer.id
        found: tuple[bytes, bytes] = self._once(ids, made_of, lambda: _shared(candidate, factors))
        return found

    def _once(self, key: tuple[str, ...], made_of: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """Return what is made, or what was made of the same before."""
        before = self._before.get(key)
        made = _Made(made_of, before.result if before is not None and before.made_of == made_of else make())
        self._made[key] = made
        return made.result

    def _number(self, words: Words) -> int:
        number = self._numbers.setdefault(words, len(self.words))
        if number == len(self.words):
            self.words.append(words)
        return number

    def _template(self, candidate: Candidate, source: str, spoken: str, chars_max: int) -> Template:
        """Return a template with all that is the candidate's own filled in."""
        if "{{" not in source:
            return Template(parts=(Part(PartKind.TEXT, source),), length_max=chars_max)
        order = (spoken, *(other for other in self._languages if other != spoken))
        texts = {**offer_texts(candidate.offer, candidate.product, order), CAMPAIGN: candidate.campaign.id}
        text = fixed_text(source, texts, length_max=chars_max)
        if text is not None:
            return Template(parts=(Part(PartKind.TEXT, text),), length_max=chars_max)
        variables = {**self._variables, **offer_variables(candidate.offer, candidate.product, order)}
        template = compile_template(source, variables, length_max=chars_max)
        return filled_in(template, {CAMPAIGN: candidate.campaign.id})


def _shared(candidate: Candidate, factors: dict[str, float]) -> tuple[bytes, bytes]:
    """Return fields 2 to 5 of the candidate's Offer, and 7 and 8. Nothing is drawn by lot, so its probability is 1."""
    names = decision_pb2.Offer(
        offer=candidate.offer.id,
        campaign=candidate.campaign.id,
        product=candidate.product.id,
        exclusive_group=candidate.product.exclusive_group or "",
    )
    parts = decision_pb2.Offer(parts=decision_pb2.ScoreParts(**factors), probability=1.0)
    return names.SerializeToString(), parts.SerializeToString()


def said(content: str, script: str, language: str) -> bytes:
    """Return fields 9 to 11 of an Offer."""
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

    def gather(self, subscribers: npt.NDArray[np.uint64], now_us: npt.NDArray[np.int64]) -> None:
        """Read up to GATHERED_MAX subscribers at their instants."""
        self._bound.binding.gather(subscribers, now_us, self._view, 0, len(subscribers))

    def lookup(self, row: int, message: Any) -> Lookup:
        """Return how a template's names are looked up for a gathered row and the DecideRequest that it is about."""

        def find(name: str) -> str | None:
            family, _, rest = name.partition(".")
            assert family in ("subscriber", "trigger"), "what is the candidate's own was filled in"
            return self._attribute(row, rest) if family == "subscriber" else self._field(row, rest, message)

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
        known = self._bound.binding.dictionaries[slot]
        if code < len(known):
            return known[code]
        # A live change brought it, so it stands near the end.
        return next(text for text, number in reversed(self._bound.binding.strings[slot].items()) if number == code)

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
