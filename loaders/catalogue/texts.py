"""Conditions and messages of a catalogue, compiled to find their mistakes."""

from collections import ChainMap
from collections.abc import Iterator, Mapping

from engine.catalogue.model import Catalogue
from engine.catalogue.slots import KnownSlots, offer_variables, template_variables
from engine.cel.conditions import Compiler
from engine.cel.errors import CelError
from engine.templates import LENGTH_MAX, TemplateError, Variable, compile_template, is_plain
from loaders.catalogue.gather import Gathered
from loaders.catalogue.positions import place_in
from loaders.catalogue.reading import Entry, Reading, Word


def check_texts(gathered: Gathered, catalogue: Catalogue, compiler: Compiler, reading: Reading) -> None:
    """Note the mistakes of conditions and messages; `compiler`, of the catalogue's schema, keeps the conditions that are right.

    A text that names something which is itself wrong is passed over until that is mended, so that nothing is blamed in
    vain; once PROBLEMS_MAX mistakes are known, no more texts are compiled.
    """
    if reading.incomplete:
        return
    doubtful = _doubtful(gathered)
    if "" in doubtful:
        return
    _check_conditions(gathered, catalogue, compiler, doubtful, reading)
    _check_templates(gathered, catalogue, doubtful, reading)


def _doubtful(gathered: Gathered) -> set[str]:
    """Return the ids of labels, attributes and trigger fields with a mistake in their declaration."""
    ids = {entry.id for name in ("labels", "attributes") for entry in gathered.entries(name) if entry.wrong}
    for trigger in gathered.entries("triggers"):
        if trigger.wrong:
            ids.update(str(name) for name in trigger.get("fields") or {"": None})
    return ids


def _names_any(text: str, ids: set[str]) -> bool:
    return any(name in text for name in ids)


def _check_conditions(
    gathered: Gathered, catalogue: Catalogue, compiler: Compiler, doubtful: set[str], reading: Reading
) -> None:
    known_slots = KnownSlots(catalogue)
    every = frozenset(slot.name for slot in compiler.schema.slots)
    campaigns = {campaign.id: campaign for campaign in catalogue.campaigns}
    triggers = {trigger.id for trigger in catalogue.triggers}
    for entry in gathered.entries("campaigns"):
        source: Word | None = entry.get("condition")
        if source is None or reading.problems.full or _names_any(source, doubtful):
            continue
        campaign = campaigns.get(entry.id)
        sure = campaign is not None and triggers.issuperset(campaign.triggers)
        known = known_slots.of(campaign) if campaign is not None and sure else every
        try:
            compiler.compile(str(source), known)
        except CelError as error:
            place = place_in(source.node, error.line, error.column)
            was, _, do = error.message.partition("; ")
            expected = "campaigns.condition: expected CEL that can be compiled"
            reading.problems.add(place, expected, was, do or "mend it")


def _texts(offer: Entry) -> Iterator[tuple[str, str, str, Word]]:
    """Yield (content or script, channel, language, source)."""
    for kind in ("content", "script"):
        by_channel: Mapping[Word, Mapping[Word, Word]] = offer.get(kind) or {}
        for channel, by_language in by_channel.items():
            for language, source in by_language.items():
                yield kind, str(channel), str(language), source


def _check_templates(gathered: Gathered, catalogue: Catalogue, doubtful: set[str], reading: Reading) -> None:
    common = template_variables(catalogue)
    products = {product.id: product for product in catalogue.products}
    lengths = {channel.id: channel.content_chars_max or LENGTH_MAX for channel in catalogue.channels}
    for offer in catalogue.offers:
        product = products.get(offer.product)
        if product is None:
            continue
        for kind, channel, language, source in _texts(gathered.ids["offer"][offer.id]):
            if reading.problems.full or (doubtful and _names_any(source, doubtful)):
                continue
            length_max = lengths.get(channel, LENGTH_MAX) if kind == "content" else LENGTH_MAX
            if is_plain(source, length_max):
                continue
            own = offer_variables(offer, product, (language, *catalogue.languages, *product.name))
            what = f"offers.{kind}.{channel}.{language}"
            _check_template(source, ChainMap(own, common), length_max, what, reading)


def _check_template(
    source: Word, variables: Mapping[str, Variable], length_max: int, what: str, reading: Reading
) -> None:
    try:
        compile_template(str(source), variables, length_max=length_max)
    except TemplateError as error:
        place = place_in(source.node, error.line, error.column)
        reading.problems.add(place, f"{what}: {error.expected}", error.was, error.do)
