"""Lowering: the top-level conjuncts of a condition become terms, the cheapest kind first; what is no simple term becomes a program."""

from engine.cel.conditions import Condition, Term
from engine.cel.emit import Emitter
from engine.cel.fold import constant_value
from engine.cel.frontend import frontend_of
from engine.cel.program import vocabulary_of
from engine.cel.ranges import FLIPPED, Range, decimal_range, double_range, whole_range
from engine.cel.schema import LABELS_NAME, Schema, SlotType
from engine.cel.syntax import Call, Constant, Has, Name, Node
from engine.cel.text_tree import text_tree
from engine.cel.texts import TextFunction, TextValue
from engine.dtypes.condition import (
    FIXED,
    KNOWN,
    LABELS_ALL,
    LABELS_NONE,
    PROGRAM,
    RANGE,
    RANGE_DOUBLE,
    RANGE_TEXT,
)

_COST = {LABELS_ALL: 0, LABELS_NONE: 0, FIXED: 1, KNOWN: 1, RANGE: 1, RANGE_DOUBLE: 1, RANGE_TEXT: 1, PROGRAM: 2}


def lower_condition(source: str, schema: Schema, known: frozenset[str] | None = None) -> Condition:
    """Return the lowered condition; raises CelError."""
    tree = frontend_of(schema).parse(source)
    emitter = Emitter(source, vocabulary_of(schema), known, strict=True)
    if tree.type != "bool":
        emitter.refuse(tree, f"expected a condition, true or false, but it was {tree.type}; compare it with something")
    return _finished(emitter, _terms(emitter, tree), "bool")


def lower_expression(source: str, schema: Schema) -> Condition:
    """Return a lowered expression of any scalar type: a bool as a condition, another as one program; constant errors are kept."""
    tree = frontend_of(schema).parse(source)
    emitter = Emitter(source, vocabulary_of(schema), None, strict=False)
    if tree.type == "bool":
        return _finished(emitter, _terms(emitter, tree), "bool")
    emitter.emit(tree)
    return _finished(emitter, [Term(PROGRAM, source, count=len(emitter.code))], tree.type)


def _terms(emitter: Emitter, tree: Node) -> list[Term]:
    cuts: list[int] = []
    conjuncts = _conjuncts(tree, cuts)
    slices = _slices(emitter.source, cuts)
    return _merged([_term(emitter, node, text) for node, text in zip(conjuncts, slices, strict=True)])


def _finished(emitter: Emitter, terms: list[Term], kind: str) -> Condition:
    return Condition(
        source=emitter.source,
        terms=tuple(terms),
        code=tuple(emitter.code),
        constants=tuple(emitter.constants),
        functions=tuple(emitter.functions),
        texts=tuple(emitter.texts),
        zones=tuple(emitter.zones),
        names=tuple(emitter.names),
        slots=tuple(sorted(emitter.slots)),
        type=kind,
    )


def _conjuncts(node: Node, cuts: list[int]) -> list[Node]:
    """Return the operands of the `&&` at the top, in order, and add the offsets of these operators to `cuts`."""
    if isinstance(node, Call) and node.function == "_&&_":
        left = _conjuncts(node.arguments[0], cuts)
        cuts.append(node.offset)
        return left + _conjuncts(node.arguments[1], cuts)
    return [node]


def _slices(source: str, cuts: list[int]) -> list[str]:
    starts = [0, *(cut + 2 for cut in sorted(cuts))]
    ends = [*sorted(cuts), len(source)]
    return [_balanced(source[start:end].strip()) for start, end in zip(starts, ends, strict=True)]


def _balanced(text: str) -> str:
    """Return a conjunct's text without the parentheses that belong to a group around it."""
    if "(" not in text and ")" not in text:
        return text
    depth = lowest = 0
    quote = ""
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote and text[at - 1] != "\\" else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character == "(") - (character == ")")
            lowest = min(lowest, depth)
    opened = depth - lowest
    for _ in range(opened):
        text = text.removeprefix("(").lstrip()
    for _ in range(-lowest):
        text = text.removesuffix(")").rstrip()
    return text


def _term(emitter: Emitter, node: Node, text: str) -> Term:
    inner, negated = node, False
    while isinstance(inner, Call) and inner.function == "!_":
        inner, negated = inner.arguments[0], not negated
    simple = _simple_term(emitter, inner, negated=negated, text=text)
    if simple:
        return simple
    first, depth = len(emitter.code), emitter.depth
    emitter.depth = 0
    emitter.emit(node)
    emitter.depth = depth
    return Term(PROGRAM, text, first=first, count=len(emitter.code) - first)


def _simple_term(emitter: Emitter, node: Node, *, negated: bool, text: str) -> Term | None:
    if isinstance(node, Constant):
        return Term(FIXED, text, low=int(node.value is not negated))
    if isinstance(node, Has):
        return Term(KNOWN, text, slot=emitter.slot(node), negated=negated)
    if isinstance(node, Name):
        return Term(RANGE, text, slot=_named_slot(emitter, node), low=int(not negated), high=int(not negated))
    if not isinstance(node, Call):
        return None
    if node.function == "@in" and isinstance(node.arguments[1], Name) and isinstance(node.arguments[0], Constant):
        emitter.name_bit(f'"{node.arguments[0].value}" in {LABELS_NAME}')
        return Term(LABELS_NONE if negated else LABELS_ALL, text, labels=(emitter.label(node.arguments[0]),))
    if node.function in FLIPPED:
        return _comparison(emitter, node, negated=negated, text=text)
    return _text_test(emitter, node, negated=negated, text=text)


def _named_slot(emitter: Emitter, node: Name) -> int:
    emitter.name_bit(node.name)
    return emitter.slot(node)


def _comparison(emitter: Emitter, node: Call, *, negated: bool, text: str) -> Term | None:
    """Return the term of a slot compared with a constant, or None when it is something else."""
    function, (left, right) = node.function, node.arguments
    if not isinstance(left, Name):
        function, left, right = FLIPPED[function], right, left
    negated = negated != (function == "_!=_")
    if left.type == "string":
        if isinstance(left, Name) and isinstance(right, Constant) and function in ("_==_", "_!=_"):
            return _equal_text(emitter, left, str(right.value), negated=negated, text=text)
        return _text_test(emitter, node, negated=negated != (node.function == "_!=_"), text=text)
    constant = constant_value(emitter, right) if isinstance(left, Name) else None
    if constant is None:
        return None
    assert isinstance(left, Name)
    slot = emitter.schema.slots[_named_slot(emitter, left)]
    kind, (low, high) = _range(slot.type, slot.scale, function, constant)
    return Term(kind, text, slot=_named_slot(emitter, left), low=low, high=high, negated=negated)


def _range(kind: SlotType, scale: int, function: str, constant: int | float) -> tuple[int, Range]:
    if kind == SlotType.DECIMAL:
        return RANGE, decimal_range(function, float(constant), scale)
    if kind == SlotType.DOUBLE:
        return RANGE_DOUBLE, double_range(function, float(constant))
    return RANGE, whole_range(function, int(constant))


def _equal_text(emitter: Emitter, name: Name, value: str, *, negated: bool, text: str) -> Term:
    slot = _named_slot(emitter, name)
    function = emitter.function(TextFunction(slot, TextValue()))
    number = emitter.texts.setdefault(value, len(emitter.texts))
    return Term(RANGE_TEXT, text, slot=slot, function=function, text=number, negated=negated)


def _text_test(emitter: Emitter, node: Call, *, negated: bool, text: str) -> Term | None:
    """Return the term of a test on one string slot, or None when it is something else."""
    names: set[Name] = set()
    tree = text_tree(node, names) if node.type == "bool" else None
    slots = {emitter.slot(name) for name in names}
    if tree is None or len(slots) != 1:
        return None
    emitter.name_bit(next(iter(names)).name)
    slot = slots.pop()
    return Term(
        RANGE_TEXT, text, slot=slot, low=1, high=1, function=emitter.function(TextFunction(slot, tree)), negated=negated
    )


def _merged(terms: list[Term]) -> list[Term]:
    """Return the terms, those of labels joined into one that all must hold and one that none may, in order of cost."""
    merged = [term for term in terms if _COST[term.kind] > 0]
    for kind in (LABELS_NONE, LABELS_ALL):
        same = [term for term in terms if term.kind == kind]
        if same:
            labels = tuple(sorted({label for term in same for label in term.labels}))
            merged.insert(0, Term(kind, " && ".join(term.source for term in same), labels=labels))
    return sorted(merged, key=lambda term: _COST[term.kind])
