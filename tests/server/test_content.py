"""What is taken from an earlier rulebook's content is what would be made anew, whatever was edited between the two."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.catalogue.model import Catalogue
from engine.rulebook import Rulebook, compile_rulebook
from loaders.catalogue.load import load_catalogue
from server.content import Content
from tests.server.operator_fixture import CATALOGUE, NOW

replace = msgspec.structs.replace
Edit = Callable[[Catalogue], Catalogue]


@pytest.fixture(scope="module")
def rulebook(tmp_path_factory: pytest.TempPathFactory) -> Rulebook:
    folder: Path = tmp_path_factory.mktemp("catalogue")
    (folder / "all.yaml").write_text(CATALOGUE)
    return compile_rulebook(load_catalogue(folder, now_us=int(NOW.timestamp()) * 1_000_000))


def said(content: Content) -> tuple[Any, ...]:
    """Return all that a content says, by candidate and channel, wherever it stands."""
    pieces, blob = content.pieces, content.pieces.blob.tobytes()
    shared = [(blob[a:b], blob[b:c]) for a, b, c in pieces.candidates.tolist()]
    words = [
        [content.words[-1 - start] if start < 0 else blob[start : start + size] for start, size in of_pair]
        for of_pair in pieces.words.tolist()
    ]
    return shared, pieces.pairs.tolist(), words, pieces.push.tolist(), pieces.most.tolist()


def each(name: str, **change: Any) -> Edit:
    """Change the first of the catalogue's things of one sort."""
    return lambda c: replace(c, **{name: (replace(getattr(c, name)[0], **change), *getattr(c, name)[1:])})


def first_words(catalogue: Catalogue, family: str) -> Catalogue:
    """Change the words of each offer that has some."""
    offers = [
        replace(o, **{family: {ch: {k: f"{v}!" for k, v in lines.items()} for ch, lines in getattr(o, family).items()}})
        for o in catalogue.offers
    ]
    return replace(catalogue, offers=tuple(offers))


EDITS: dict[str, Edit] = {
    "nothing": lambda c: c,
    "content": lambda c: first_words(c, "content"),
    "script": lambda c: first_words(c, "script"),
    "no scripts": lambda c: replace(c, offers=tuple(replace(o, script={}) for o in c.offers)),
    "a product's name": lambda c: replace(
        c, products=tuple(replace(p, name={k: f"new {v}" for k, v in p.name.items()}) for p in c.products)
    ),
    "prices": lambda c: replace(c, products=tuple(replace(p, price=p.price + Decimal("0.1")) for p in c.products)),
    "an exclusive group": lambda c: replace(
        c, products=tuple(replace(p, exclusive_group="another") for p in c.products)
    ),
    "a value": lambda c: replace(c, offers=tuple(replace(o, value=o.value + 1) for o in c.offers)),
    "a priority": lambda c: replace(c, offers=tuple(replace(o, priority=o.priority + 1) for o in c.offers)),
    "levers": lambda c: replace(c, campaigns=tuple(replace(x, lever=x.lever + 0.5) for x in c.campaigns)),
    "room": lambda c: replace(c, channels=tuple(replace(ch, content_chars_max=100) for ch in c.channels)),
    "languages": lambda c: replace(c, languages=c.languages[::-1], offers=tuple(_in_all(o, c) for o in c.offers)),
    "an attribute's scale": lambda c: replace(
        c, attributes=tuple(replace(a, scale=1) if a.id == "balance" else a for a in c.attributes)
    ),
    "an offer less": lambda c: replace(
        c, campaigns=tuple(replace(x, offers=x.offers[1:]) if len(x.offers) > 1 else x for x in c.campaigns)
    ),
}


def _in_all(offer: Any, catalogue: Catalogue) -> Any:
    whole = {
        ch: {name: next(iter(lines.values())) for name in catalogue.languages} for ch, lines in offer.content.items()
    }
    return replace(offer, content=whole, script={})


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_taken_from_before_is_what_would_be_made(rulebook: Rulebook, edit: str) -> None:
    edited = replace(rulebook, catalogue=EDITS[edit](rulebook.catalogue))
    before, anew = Content(rulebook), Content(edited)
    taken = Content(edited, before)
    assert said(taken) == said(anew)
    assert taken.words == anew.words
    for name in anew.sayings._fields:
        assert np.array_equal(getattr(taken.sayings, name), getattr(anew.sayings, name)), name
    assert (said(anew) == said(before)) == (edit in ("nothing", "an attribute's scale"))
    assert said(Content(rulebook, taken)) == said(before)


def test_what_is_the_same_is_taken(rulebook: Rulebook) -> None:
    before = Content(rulebook)
    taken = Content(replace(rulebook, catalogue=EDITS["a value"](rulebook.catalogue)), before)
    shared = [words for words in taken.words if any(words is other for other in before.words)]
    assert len(shared) == len(taken.words) > 0
