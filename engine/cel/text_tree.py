"""Functions of strings as trees: which part of a condition can be tabulated over one slot's dictionary."""

from engine.cel.syntax import Call, Constant, ListOf, Name, Node
from engine.cel.texts import TEXT_FUNCTIONS, TextCall, TextConstant, TextValue

Tree = TextValue | TextConstant | TextCall


def text_tree(node: Node, slots: set[Name]) -> Tree | None:
    """Return the function of strings that a node is, adding the slots that it uses, or None when something else is in it."""
    if isinstance(node, Constant) and isinstance(node.value, str):
        return TextConstant(node.value)
    if isinstance(node, Name) and node.type == "string":
        slots.add(node)
        return TextValue()
    if not isinstance(node, Call):
        return None
    if node.function == "string" and node.arguments[0].type == "string":
        return text_tree(node.arguments[0], slots)
    if node.function not in TEXT_FUNCTIONS:
        return None
    last = node.arguments[-1]
    parts = (
        (*node.arguments[:-1], *last.elements)
        if isinstance(last, ListOf) and node.function == "@in"
        else node.arguments
    )
    trees = [text_tree(part, slots) if part.type == "string" else None for part in parts]
    if any(tree is None for tree in trees):
        return None
    return TextCall(node.function, tuple(tree for tree in trees if tree is not None))


def uses_value(tree: Tree) -> bool:
    """Return whether the function depends on its string."""
    return isinstance(tree, TextValue) or (
        isinstance(tree, TextCall) and any(uses_value(part) for part in tree.arguments)
    )
