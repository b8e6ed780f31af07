"""What customers read and agents say: the catalogue's templates by candidate, channel and language, rendered with one subscriber's values."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from engine.bound import Bound
from engine.bound_rules import Candidate, propensity_of
from engine.catalogue.model import Catalogue, Channel, TriggerField
from engine.catalogue.slots import offer_variables, template_variables, trigger_fields
from engine.catalogue.terms import ValueType
from engine.dtypes.view import new_view
from engine.limits import BATCH_ITEMS_MAX
from engine.templates import LENGTH_MAX, Template, compile_template, format_value, render
from engine.zones import zone_info
from server.values import slot_value

Lookup = Callable[[str], str | None]


class Message(NamedTuple):
    """One template, and its text when that is the same for everybody."""

    template: Template
    constant: str | None

    def text(self, lookup: Lookup) -> str:
        """Return the text for one subscriber."""
        return self.constant if self.constant is not None else render(self.template, lookup)


class Words(NamedTuple):
    """What a candidate says on one channel in one language."""

    language: str
    """The language that it really is: the catalogue's default where the wanted one is missing."""
    content: Message
    script: Message | None

    @property
    def constant(self) -> bool:
        """Whether content and script are the same for everybody."""
        return self.content.constant is not None and (self.script is None or self.script.constant is not None)


class Content:
    """The words of every candidate on every channel in every language, compiled once for a rulebook."""

    def __init__(self, catalogue: Catalogue, candidates: list[Candidate]) -> None:
        self._languages = catalogue.languages
        self._variables = template_variables(catalogue)
        self._compiled: dict[tuple[int, int, int], Words] = {}
        for number, candidate in enumerate(candidates):
            for place, channel in enumerate(catalogue.channels):
                if channel.id in candidate.offer.content:
                    for language in range(len(catalogue.languages)):
                        self._compiled[number, place, language] = self._words(candidate, channel, language)

    def words(self, candidate: int, channel: int, language: int) -> Words:
        """Return the words of a candidate (rulebook number) on a channel, in a language (index; below 0: the default)."""
        return self._compiled[candidate, channel, max(language, 0)]

    def _words(self, candidate: Candidate, channel: Channel, language: int) -> Words:
        content, spoken = self._message(
            candidate, candidate.offer.content[channel.id], language, channel.content_chars_max
        )
        lines = candidate.offer.script.get(channel.id)
        script = self._message(candidate, lines, language, None)[0] if lines else None
        return Words(spoken, content, script)

    def _message(
        self, candidate: Candidate, sources: dict[str, str], language: int, chars_max: int | None
    ) -> tuple[Message, str]:
        wanted = self._languages[language]
        spoken = wanted if wanted in sources else self._languages[0]
        order = (spoken, *(other for other in self._languages if other != spoken))
        fixed = offer_variables(candidate.offer, candidate.product, order)
        template = compile_template(sources[spoken], {**self._variables, **fixed}, length_max=chars_max or LENGTH_MAX)
        campaign_id = candidate.campaign.id
        variables = template.variables
        constant = template.constant
        if constant is None and set(variables) <= {"campaign.id"}:
            constant = render(template, lambda _: campaign_id)
        return Message(template, constant), spoken


class Subscribers:
    """What messages may say of the subscribers of a batch, and their languages: gathered for the rows that have an offer."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        catalogue = bound.rulebook.catalogue
        slots = max(bound.slots, len(catalogue.attributes))
        self._view = new_view(BATCH_ITEMS_MAX, bound.binding.label_words, slots)
        self._attributes = {attribute.id: (slot, attribute) for slot, attribute in enumerate(catalogue.attributes)}
        self._fields: dict[str, TriggerField] = {field.id: field for field in trigger_fields(catalogue)}
        self._zones = {name: zone_info(name) for name in bound.binding.zone_names}
        self._home = zone_info(catalogue.country.home_zone)
        self._texts: dict[int, dict[int, str]] = {}
        self._language_of = [_place(catalogue.languages, name) for name in bound.binding.language_names]

    def gather(self, subscribers: npt.NDArray[np.uint64], now_us: npt.NDArray[np.int64]) -> list[int]:
        """Read n subscribers at their instants; returns each one's language among the catalogue's, -1 when unknown."""
        count = len(subscribers)
        self._bound.binding.gather(subscribers, now_us, self._view, 0, count)
        codes = self._bound.binding.languages[:count].tolist()
        return [self._language_of[code] if code >= 0 else -1 for code in codes]

    def lookup(self, row: int, candidate: Candidate, message: Any) -> Lookup:
        """Return how a template's names are looked up for a gathered row and the DecideRequest that it is about."""

        def find(name: str) -> str | None:
            family, _, rest = name.partition(".")
            if family == "subscriber":
                return self._attribute(row, rest)
            if family == "trigger":
                return self._field(row, rest, message)
            assert name == "campaign.id"
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


def _place(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else -1


PARTS: Final = ("priority", "propensity", "value", "lever")


def parts_of(candidate: Candidate) -> dict[str, float]:
    """Return the factors of a candidate's score by name."""
    offer = candidate.offer
    factors = (float(offer.priority), propensity_of(offer), offer.value, candidate.campaign.lever)
    return dict(zip(PARTS, factors, strict=True))
