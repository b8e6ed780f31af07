"""Kernels that stand apart: other kernels call their machine code by a symbol instead of taking it into their own, so that it is compiled once.

For what is large, or called by many, and called once for many items: such a call is not inlined, and costs a few nanoseconds. A caller is typed by the
declared signature alone, so it compiles without what it calls. Whoever imports a caller has imported what it calls, and thereby the symbols.
"""

from types import SimpleNamespace
from typing import Any

import llvmlite.binding  # type: ignore[import-untyped]
from numba.core import typing

_TYPING: Any = typing
_ADD_SYMBOL: Any = llvmlite.binding.add_symbol
_NOWHERE = 1
"""The address of what is compiled for the cache alone, in a process that calls no kernel."""


def symbol_of(dispatcher: Any) -> str:
    """Return the name by which other kernels call one that stands apart."""
    return f"touchpoint.{dispatcher.py_func.__module__}.{dispatcher.py_func.__qualname__}"


def stand_apart(dispatcher: Any, signature: Any) -> None:
    """Have callers of a kernel call its symbol, by this signature, which must name the type that is returned."""
    symbol = symbol_of(dispatcher)
    described = SimpleNamespace(
        mangled_name=symbol,
        restype=signature.return_type,
        argtypes=signature.args,
        args=dispatcher.py_func.__code__.co_varnames[: len(signature.args)],
        noalias=False,
        inline=False,
    )
    key = (symbol,)
    dispatcher.targetctx.insert_user_function(key, described)

    def call_template(args: Any, kws: Any) -> Any:
        python_signature, args = dispatcher._compiler.fold_argument_types(args, kws)
        template = _TYPING.make_concrete_template(symbol, key=symbol, signatures=[signature])
        return template, python_signature, args, {}

    dispatcher.get_call_template = call_template
    dispatcher.get_overload = lambda _args: key
    compiled = list(dispatcher.overloads.values())
    _ADD_SYMBOL(symbol, _address_of(compiled[0]) if compiled else _NOWHERE)


def _address_of(compiled: Any) -> int:
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))
