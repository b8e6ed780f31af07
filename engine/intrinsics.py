"""Instructions that Python has no word for, for kernels: the bits of a word counted and found, and a cache line asked for before it is read.

With the JIT off the same names are plain Python.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

from engine.jit import COMPILED

_READ, _ALL_LEVELS, _DATA = 0, 3, 1
"""Arguments of llvm.prefetch."""


def _popcount(_typing: Any, _word: Any) -> Any:
    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), code


def _lowest_bit(_typing: Any, _word: Any) -> Any:
    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), code


def _prefetch(_typing: Any, array: Any, _index: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")  # type: ignore[no-untyped-call]
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        builder.call(function, [address, word(_READ), word(_ALL_LEVELS), word(_DATA)])
        return context.get_dummy_value()

    return types.void(array, types.int64), code


if COMPILED:
    popcount: Any = intrinsic(_popcount)
    lowest_bit: Any = intrinsic(_lowest_bit)
    prefetch: Any = intrinsic(_prefetch)
else:

    def popcount(word: np.uint64) -> int:
        """Return how many bits of a uint64 are set."""
        return int(word).bit_count()

    def lowest_bit(word: np.uint64) -> int:
        """Return the number of the lowest set bit of a uint64 that is not 0."""
        return (int(word) & -int(word)).bit_length() - 1

    def prefetch(array: np.ndarray, index: int) -> None:
        """Ask for the cache line of array[index], which need not exist, without waiting for it."""
