"""What a condition says of one string: tests that must hold, and, where they leave only so many texts, which these are."""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from engine.cel.conditions import Condition, Term
from engine.cel.texts import TextCall, TextConstant, TextFunction, TextValue, evaluate_text


class TextFact(NamedTuple):
    """A test of one slot's string: the function's result is `wanted`, a text, or lies in a range of numbers; or, negated, is not."""

    function: TextFunction
    wanted: str | tuple[int, int]
    negated: bool

    def holds(self, text: str) -> bool:
        """Return whether the test is true of this string."""
        value = evaluate_text(self.function.tree, text)
        if isinstance(self.wanted, str):
            return (value == self.wanted) != self.negated
        return (self.wanted[0] <= int(value) <= self.wanted[1]) != self.negated

    def opposite(self) -> "TextFact":
        """Return the test that is true whenever this one is false of a known string."""
        return self._replace(negated=not self.negated)

    def texts(self) -> frozenset[str] | None:
        """Return the only strings of which it can be true, when it names them; else None."""
        tree = self.function.tree
        if self.negated:
            return None
        if isinstance(tree, TextValue) and isinstance(self.wanted, str):
            return frozenset((self.wanted,))
        if isinstance(tree, TextCall) and self.wanted == (1, 1) and tree.function in ("_==_", "@in"):
            constants = [part.text for part in tree.arguments if isinstance(part, TextConstant)]
            of_value = [part for part in tree.arguments if isinstance(part, TextValue)]
            first_is_value = isinstance(tree.arguments[0], TextValue)
            if len(of_value) == 1 and len(constants) + 1 == len(tree.arguments):
                return frozenset(constants) if first_is_value or tree.function == "_==_" else None
        return None

    def end(self, function: str) -> str | None:
        """Return the text that the string must start or end with (`function`: startsWith or endsWith), when that is what it says."""
        tree = self.function.tree
        if self.negated or self.wanted != (1, 1) or not isinstance(tree, TextCall) or tree.function != function:
            return None
        value, text = tree.arguments
        return text.text if isinstance(value, TextValue) and isinstance(text, TextConstant) else None


def text_fact(condition: Condition, term: Term) -> TextFact:
    """Return what a text range says."""
    wanted = condition.texts[term.text] if term.text >= 0 else (term.low, term.high)
    return TextFact(condition.functions[term.function], wanted, term.negated)


def possible_texts(facts: Iterable[TextFact]) -> frozenset[str] | None:
    """Return the only strings of which all can be true, when one of them names some; else None."""
    facts = list(facts)
    named = [texts for fact in facts if (texts := fact.texts()) is not None]
    if not named:
        return None
    return frozenset(text for text in frozenset.intersection(*named) if all(fact.holds(text) for fact in facts))


def are_contradictory(facts: Iterable[TextFact]) -> bool:
    """Return whether surely no string passes all; what is not plain to see is taken for possible."""
    facts = list(facts)
    texts = possible_texts(facts)
    if texts is not None:
        return not texts
    if any(fact.opposite() in facts for fact in facts):
        return True
    starts = sorted((text for fact in facts if (text := fact.end("startsWith")) is not None), key=len)
    ends = sorted((text for fact in facts if (text := fact.end("endsWith")) is not None), key=len)
    return any(not long.startswith(short) for short, long in pairwise(starts)) or any(
        not long.endswith(short) for short, long in pairwise(ends)
    )
