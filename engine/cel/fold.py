"""Constant folding by the kernel that would evaluate the constant, so that there is one arithmetic."""

import numpy as np

from engine.cel.emit import Emitter
from engine.cel.program import Vocabulary
from engine.cel.schema import Schema
from engine.cel.syntax import Call, Constant, Node
from engine.dtypes.condition import CELL, CONSTANT, INSTRUCTION, MASK, STACK_MAX, TERM, TRUE, ConditionTables
from engine.dtypes.view import new_view
from engine.jit import frozen
from engine.zones import bind_zones

_NOTHING = Vocabulary(Schema(()))


def _is_constant(node: Node) -> bool:
    return isinstance(node, Constant) or (
        isinstance(node, Call) and all(_is_constant(argument) for argument in node.arguments)
    )


def constant_value(emitter: Emitter, node: Node) -> int | float | None:
    """Return the value of a constant bool, int or double expression; None when it is none, or an error."""
    if isinstance(node, Constant) and isinstance(node.value, bool | int | float):
        return node.value
    if node.type not in ("bool", "int", "double") or not _is_constant(node):
        return None
    from engine.kernels.cel_number import double_of_bits  # few conditions have arithmetic, and kernels load slowly
    from engine.kernels.condition import run_program

    program = Emitter(emitter.source, _NOTHING, None, strict=emitter.strict)
    program.emit(node)
    if program.texts or program.zones:
        return None
    tables = ConditionTables(
        start=frozen(np.zeros(1, np.int64)),
        terms=frozen(np.zeros(0, TERM)),
        masks=frozen(np.zeros(0, MASK)),
        code=frozen(np.array(program.code, INSTRUCTION)),
        constants=frozen(np.array(list(program.constants), CONSTANT)),
        numbers=frozen(np.zeros(0, np.int32)),
        stack=np.zeros(STACK_MAX, CELL),
        zones=bind_zones([]),
    )
    if run_program(tables, new_view(1, 1, 1), 0, 0, len(program.code)) != TRUE:
        return None
    value = int(tables.stack[0]["value"])
    return double_of_bits(value) if node.type == "double" else value
