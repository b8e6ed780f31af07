"""Instructions that Python has no word for, for kernels: the bits of a word counted and found, and a cache line asked for before it is read;
64 numbers compared at once, bits of 64 bytes taken at once, and CRC32C over eight bytes.

With the JIT off the same names are plain Python.
"""

from typing import Any

import numpy as np
from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

from engine.jit import COMPILED, kernel

_READ, _ALL_LEVELS, _DATA = 0, 3, 1
"""Arguments of llvm.prefetch."""
LANES = 64
_WORD32: Any = ir.IntType(32)


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


def _of_lanes(builder: Any, number: Any, kind: Any) -> Any:
    """Return the vector with `number` in each lane."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, _WORD32(0))
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), _lanes_from([0] * kind.count))


def _lanes_from(lanes: list[int]) -> Any:
    return ir.Constant(ir.VectorType(_WORD32, len(lanes)), lanes)


def _data_of(context: Any, builder: Any, array_type: Any, array: Any, kind: Any) -> Any:
    """Return the array's address, as that of vectors."""
    return builder.bitcast(context.make_array(array_type)(context, builder, array).data, kind.as_pointer())


def _not_below(_typing: Any, values: Any, _cut: Any) -> Any:
    def code(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        number = context.get_data_type(values.dtype)
        kind = ir.VectorType(number, LANES)
        data = _data_of(context, builder, values, arguments[0], kind)
        cut = arguments[1] if number.width == 64 else builder.trunc(arguments[1], number)
        compare = builder.icmp_signed if values.dtype.signed else builder.icmp_unsigned
        found = compare(">=", builder.load(data, align=number.width // 8), _of_lanes(builder, cut, kind))
        return builder.bitcast(found, ir.IntType(64))

    return types.uint64(values, types.int64), code


def _bits_across(_typing: Any, data: Any, _at: Any, _bit: Any) -> Any:
    def code(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8)
        kind = ir.VectorType(byte, LANES)
        start = builder.gep(_data_of(context, builder, data, arguments[0], byte), [arguments[1]])
        mask = builder.shl(byte(1), builder.trunc(arguments[2], byte))
        lanes = builder.load(builder.bitcast(start, kind.as_pointer()), align=1)
        found = builder.icmp_unsigned(
            "!=", builder.and_(lanes, _of_lanes(builder, mask, kind)), ir.Constant(kind, [0] * LANES)
        )
        return builder.bitcast(found, ir.IntType(64))

    return types.uint64(data, types.int64, types.int64), code


def _unpacked(builder: Any, one: Any, other: Any, high: int) -> Any:
    """Return the low or high four 16-bit lanes of each half of two vectors, dealt in turn."""
    firsts = [half * 8 + high * 4 + k for half in (0, 1) for k in range(4)]
    return builder.shuffle_vector(one, other, _lanes_from([lane for first in firsts for lane in (first, first + 16)]))


def _turn_bytes(_typing: Any, square: Any, turned: Any) -> Any:
    """Transpose 32 words at a time: in each half of eight vectors two words' bytes are dealt in turn, then the pairs are transposed 8 by 8."""

    def code(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        half, whole = ir.VectorType(ir.IntType(8), 16), ir.VectorType(ir.IntType(8), 32)
        source = _data_of(context, builder, square, arguments[0], half)
        target = _data_of(context, builder, turned, arguments[1], whole)
        dealt = _lanes_from([16 * side + (k >> 1) + 8 * (k & 1) for side in (0, 1) for k in range(16)])
        for part in (0, 1):
            rows = []
            for k in range(8):
                low, high = (
                    builder.load(builder.gep(source, [_WORD32(16 * part + 8 * side + k)]), align=8) for side in (0, 1)
                )
                row = builder.shuffle_vector(low, high, _lanes_from(list(range(32))))
                row = builder.shuffle_vector(row, ir.Constant(whole, ir.Undefined), dealt)
                rows.append(builder.bitcast(row, ir.VectorType(ir.IntType(16), 16)))
            for _ in range(3):
                rows = [_unpacked(builder, rows[k], rows[k + 4], high) for k in range(4) for high in (0, 1)]
            for k, row in enumerate(rows):
                builder.store(builder.bitcast(row, whole), builder.gep(target, [_WORD32(2 * k + part)]), align=1)
        return context.get_dummy_value()

    return types.void(square, turned), code


def _crc32c_word(_typing: Any, _crc: Any, _word: Any) -> Any:
    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(64), [ir.IntType(64), ir.IntType(64)])
        name = "llvm.x86.sse42.crc32.64.64"
        return builder.call(get_or_insert_function(builder.module, kind, name), arguments)  # type: ignore[no-untyped-call]

    return types.uint64(types.uint64, types.uint64), code


def _crc32c_in_bits(crc: np.uint64, word: np.uint64) -> np.uint64:
    """Return the CRC32C register after eight bytes more, a little-endian word: RFC 3720, appendix B.4, bit by bit."""
    crc ^= word
    for _ in range(64):
        crc = crc >> np.uint64(1) ^ np.uint64(0x82F63B78) * (crc & np.uint64(1))
    return crc


crc32c_word: Any = kernel(types.uint64(types.uint64, types.uint64), inner=True)(_crc32c_in_bits)
if COMPILED and binding.get_host_cpu_features().get("sse4.2"):
    crc32c_word = intrinsic(_crc32c_word)
if COMPILED:
    popcount: Any = intrinsic(_popcount)
    lowest_bit: Any = intrinsic(_lowest_bit)
    prefetch: Any = intrinsic(_prefetch)
    not_below: Any = intrinsic(_not_below)
    bits_across: Any = intrinsic(_bits_across)
    turn_bytes: Any = intrinsic(_turn_bytes)
else:

    def popcount(word: np.uint64) -> int:
        """Return how many bits of a uint64 are set."""
        return int(word).bit_count()

    def lowest_bit(word: np.uint64) -> int:
        """Return the number of the lowest set bit of a uint64 that is not 0."""
        return (int(word) & -int(word)).bit_length() - 1

    def prefetch(array: np.ndarray, index: int) -> None:
        """Ask for the cache line of array[index], which need not exist, without waiting for it."""

    def not_below(values: np.ndarray, cut: int) -> np.uint64:
        """Return the word of those of 64 integers that are not below the cut, which must be one of their kind."""
        return _word_of(values[:LANES] >= cut)

    def bits_across(data: np.ndarray, at: int, bit: int) -> np.uint64:
        """Return the word of bit `bit` of each of the bytes data[at : at + 64]."""
        return _word_of(data[at : at + LANES] >> np.uint8(bit) & np.uint8(1))

    def turn_bytes(square: np.ndarray, turned: np.ndarray) -> None:
        """Write the first byte of each of 64 words to turned[:64], the second of each to turned[64:128], and so on."""
        turned[:] = square[0].view(np.uint8).reshape(LANES, 8).T.ravel()

    def _word_of(bits: np.ndarray) -> np.uint64:
        return np.uint64(np.packbits(bits, bitorder="little").view(np.uint64)[0])
