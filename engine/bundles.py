"""Bundles of arrays that cross into kernels by reference: one pointer to a row of words, made once, instead of every array at every call.

    field array          -> its address, then its shape, a word each
    field number         -> the number
    field bundle         -> its words, in place
    field pointer        -> the address of a kept bundle's words, which may change there

A kernel's type for a NamedTuple of arrays is `Bundle`. Callers pass the NamedTuple itself, whose words are then put together for the call (0.15 us
an array), or the `Reference` that they keep, which costs a microsecond however wide the bundle is. Within kernels a field is read like an attribute, and
is loaded where it is used. Rejected: Numba's own named tuples, which unpack every array at every call (30 us for a hundred) and pass each
through every function (twice the time to compile).
"""

from struct import pack_into
from typing import Any, Final, NamedTuple

import numba
import numba.extending
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.typing import templates
from numba.np import arrayobj

_EXTENDING: Any = numba.extending
_ARRAYS: Any = arrayobj
_BUILDING: Any = cgutils
_TEMPLATE: Any = templates.AttributeTemplate
_BYTE: Any = ir.IntType(8)
_WORD: Any = ir.IntType(64)
_CLASS_NAME: Final = ".touchpoint.reference"
_BUNDLES: Final[dict[type, "Bundle"]] = {}
COMPILED: Final = not numba.config.DISABLE_JIT  # type: ignore[attr-defined]
"""False when NUMBA_DISABLE_JIT=1: kernels are then the plain Python that they are written in."""


class Pointer(NamedTuple):
    """As the type of a field: a bundle that is kept as a Reference of its own."""

    to: "Bundle"


class Bundle(types.Type):
    """The type of a NamedTuple class whose fields have the given types, in order: arrays, int64, bundles or pointers to bundles."""

    def __init__(self, cls: Any, fields: tuple[Any, ...]) -> None:
        self.cls = cls
        named = dict(zip(cls._fields, fields, strict=True))
        self.pointers = {name for name, field in named.items() if isinstance(field, Pointer)}
        self.fields: dict[str, Any] = {
            name: field.to if isinstance(field, Pointer) else field for name, field in named.items()
        }
        self.numbers = all(not isinstance(field, types.Array | Bundle | Pointer) for field in fields)
        """Whether it has no arrays."""
        self.axes = {name: field.ndim for name, field in self.fields.items() if isinstance(field, types.Array)}
        """How many axes each array has; asked of here, since asking a type of Numba's what it is takes long."""
        self.bundles = {name: field for name, field in named.items() if isinstance(field, Bundle)}
        self.offsets: dict[str, int] = {}
        self.words = 0
        for name, field in self.fields.items():
            self.offsets[name] = self.words
            self.words += 1 if name in self.pointers else _words_of(field)
        self.dtypes = {
            name: numba.np.numpy_support.as_dtype(field.dtype)
            for name, field in self.fields.items()
            if isinstance(field, types.Array)
        }
        super().__init__(name=f"Bundle({cls.__module__}.{cls.__qualname__})")
        _BUNDLES[cls] = self


def _words_of(field: Any) -> int:
    if isinstance(field, Bundle):
        return field.words
    return 1 + field.ndim if isinstance(field, types.Array) else 1


class Reference:
    """A bundle's words, and the arrays that they point to, kept alive."""

    __slots__ = ("_numba_type_", "address", "parts", "words")

    def __init__(self, value: Any) -> None:
        self._numba_type_ = bundle_type = _BUNDLES[type(value)]
        self.parts: dict[str, Any] = value._asdict()
        self.words = np.zeros(bundle_type.words, np.int64)
        self.address = self.words.ctypes.data
        _fill(self.words, 0, bundle_type, value)


def replaced(kept: Any, **changes: Any) -> Any:
    """Return what `reference` returned with some of its fields replaced: the same, changed in place; with the JIT off, another bundle.

    Raises TypeError when an array is not what the bundle's type says; it and what comes after it then stay.
    """
    if not isinstance(kept, Reference):
        return kept._replace(**changes)
    bundle_type = kept._numba_type_
    for name, part in changes.items():
        _fill_field(kept.words, bundle_type.offsets[name], bundle_type, name, part)
        kept.parts[name] = part
    return kept


def reference(value: Any) -> Any:
    """Return what to pass for a bundle again and again, until one of its arrays is replaced; with the JIT off, the bundle itself.

    Raises TypeError when an array is not what the bundle's type says.
    """
    return Reference(value) if COMPILED and not isinstance(value, Reference) else value


def _fill(words: Any, at: int, bundle_type: Bundle, value: Any) -> None:
    for name, part in zip(bundle_type.fields, value, strict=True):
        _fill_field(words, at + bundle_type.offsets[name], bundle_type, name, part)


def _fill_field(words: Any, at: int, bundle_type: Bundle, name: str, part: Any) -> None:
    axes = bundle_type.axes.get(name)
    inner = bundle_type.bundles.get(name)
    if axes is not None:
        _check(bundle_type, name, bundle_type.fields[name], part)
        words[at] = part.__array_interface__["data"][0]
        words[at + 1 : at + 1 + axes] = part.shape
    elif name in bundle_type.pointers:
        if not isinstance(part, Reference) or part._numba_type_ is not bundle_type.fields[name]:
            raise TypeError(f"{bundle_type.cls.__name__}.{name}: expected a reference to {bundle_type.fields[name]}")
        words[at] = part.address
    elif inner is None:
        words[at] = part
    elif inner.numbers:
        pack_into(f"{inner.words}q", words, 8 * at, *part)
    else:
        _fill(words, at, inner, part)


def _checked(bundle_type: Bundle, value: Any) -> Bundle:
    """Return the type of a NamedTuple, whose arrays must be what it says; Numba asks once for each combination of dtypes, layouts and flags."""
    if bundle_type.pointers:
        raise TypeError(f"{bundle_type.cls.__name__}: to be kept by reference, since it points to what is")
    for (name, field), part in zip(bundle_type.fields.items(), value, strict=True):
        if isinstance(field, Bundle):
            _checked(field, part)
        elif isinstance(field, types.Array):
            _check(bundle_type, name, field, part)
    return bundle_type


def _check(bundle_type: Bundle, name: str, field: Any, array: Any) -> None:
    fits = isinstance(array, np.ndarray) and array.dtype == bundle_type.dtypes[name] and array.ndim == field.ndim
    if not (fits and array.flags.c_contiguous and (array.flags.writeable or not field.mutable)):
        was = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{bundle_type.cls.__name__}.{name}: expected {field}, was {was}")


if COMPILED:
    _EXTENDING.register_model(Bundle)(models.OpaqueModel)

    @_EXTENDING.infer_getattr
    class _BundleAttribute(_TEMPLATE):  # type: ignore[misc]
        key = Bundle

        def generic_resolve(self, bundle_type: Any, name: str) -> Any:
            return bundle_type.fields.get(name)

    @_EXTENDING.lower_getattr_generic(Bundle)  # type: ignore[untyped-decorator]
    def _load_field(context: Any, builder: Any, bundle_type: Any, value: Any, name: str) -> Any:
        words = builder.bitcast(value, _WORD.as_pointer())
        first, field = bundle_type.offsets[name], bundle_type.fields[name]
        if isinstance(field, Bundle) and name not in bundle_type.pointers:
            return builder.bitcast(builder.gep(words, [_WORD(first)]), _BYTE.as_pointer())

        def load(at: int) -> Any:
            word = builder.load(builder.gep(words, [_WORD(first + at)]))
            word.set_metadata("invariant.load", builder.module.add_metadata([]))
            return word

        if name in bundle_type.pointers:
            return builder.inttoptr(load(0), _BYTE.as_pointer())
        return _array(context, builder, field, load) if isinstance(field, types.Array) else load(0)

    def _array(context: Any, builder: Any, array_type: Any, load: Any) -> Any:
        """Return the array whose address and shape `load` gives."""
        array = context.make_array(array_type)(context, builder)
        item_bytes = _WORD(context.get_abi_sizeof(context.get_data_type(array_type.dtype)))
        shape = [load(1 + axis) for axis in range(array_type.ndim)]
        strides = [item_bytes]
        for length in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        data = builder.inttoptr(load(0), array.data.type)
        _ARRAYS.populate_array(array, data=data, shape=shape, strides=strides, itemsize=item_bytes, meminfo=None)
        return array._getvalue()

    def _reference_class(c: Any) -> Any:
        """Return `Reference`, looked up by a kernel's first call alone."""
        kept = c.builder.module.globals.get(_CLASS_NAME)
        if kept is None:
            kept = _BUILDING.add_global_variable(c.builder.module, c.pyapi.pyobj, _CLASS_NAME)
            kept.initializer, kept.linkage = ir.Constant(c.pyapi.pyobj, None), "internal"
        with c.builder.if_then(_BUILDING.is_null(c.builder, c.builder.load(kept)), likely=False):
            c.builder.store(c.pyapi.unserialize(c.pyapi.serialize_object(Reference)), kept)
        return c.builder.load(kept)

    @_EXTENDING.unbox(Bundle)  # type: ignore[untyped-decorator]
    def _unbox(bundle_type: Any, value: Any, c: Any) -> Any:
        """Take the words of a Reference where they are, or put those of a NamedTuple on the stack."""
        is_tuple = c.builder.icmp_unsigned("!=", c.pyapi.get_type(value), _reference_class(c))
        pointer = _BUILDING.alloca_once(c.builder, _BYTE.as_pointer())
        failed = _BUILDING.alloca_once_value(c.builder, ir.Constant(ir.IntType(1), 0))
        words = _BUILDING.alloca_once(c.builder, _WORD, size=bundle_type.words)
        with c.builder.if_else(is_tuple) as (made_here, kept):
            with made_here:
                _store(c, bundle_type, value, words, failed)
                c.builder.store(c.builder.bitcast(words, _BYTE.as_pointer()), pointer)
            with kept:
                address = c.pyapi.object_getattr_string(value, "address")
                c.builder.store(c.pyapi.long_as_voidptr(address), pointer)
                c.pyapi.decref(address)
        return _EXTENDING.NativeValue(c.builder.load(pointer), is_error=c.builder.load(failed))

    def _store(c: Any, bundle_type: Any, value: Any, words: Any, failed: Any) -> None:
        """Write the words of a NamedTuple of arrays; the caller of the kernel keeps the arrays alive."""
        builder, at = c.builder, 0

        def put(number: Any, place: int) -> None:
            builder.store(number, builder.gep(words, [_WORD(place)]))

        for number, (name, field) in enumerate(bundle_type.fields.items()):
            part = c.pyapi.tuple_getitem(value, number)
            if name in bundle_type.pointers:
                at += 1  # what points is passed by reference alone (`_checked`)
                continue
            if isinstance(field, Bundle):
                _store(c, field, part, builder.gep(words, [_WORD(at)]), failed)
            else:
                native = c.unbox(field, part)
                builder.store(builder.or_(builder.load(failed), native.is_error), failed)
                if isinstance(field, types.Array):
                    array = c.context.make_array(field)(c.context, builder, native.value)
                    put(builder.ptrtoint(array.data, _WORD), at)
                    for axis, length in enumerate(_BUILDING.unpack_tuple(builder, array.shape)):
                        put(length, at + 1 + axis)
                else:
                    put(native.value, at)
                if native.cleanup is not None:
                    native.cleanup()
            at += _words_of(field)

    @_EXTENDING.typeof_impl.register(Reference)  # type: ignore[untyped-decorator]
    def _typeof_reference(value: Any, _context: Any) -> Any:
        return value._numba_type_


def bundle(cls: Any, *fields: Any) -> Bundle:
    """Return the type of the NamedTuple `cls` whose fields have the given types, in order."""
    bundle_type = Bundle(cls, fields)
    if COMPILED:
        _EXTENDING.typeof_impl.register(cls, lambda value, _context: _checked(bundle_type, value))
    return bundle_type
