"""Scores of rows of 4-bit codes, as vector code; importing this needs numba.

Loops that LLVM makes vectors of have no table look-up. Processors do: one instruction looks up as many codes as a
vector has bytes. It is the only one here that is not the same for all of them. All is in one file: numba compiles again
when the file of a kernel has changed, and looks at no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from qemb.jit import kernel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_BYTE, _WORD, _LONG, _SIZE = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_LOOKUPS = {
    "+avx2": ("llvm.x86.avx2.pshuf.b", 32),
    "+ssse3": ("llvm.x86.ssse3.pshuf.b.128", 16),
    "+neon": ("llvm.aarch64.neon.tbl1.v16i8", 16),
}
"""By feature of the processor: the instruction that looks up bytes in a table of 16, and of how many."""


def _sum_levels(
    _typing: Any,  # noqa: ANN401
    data: Any,  # noqa: ANN401
    start: Any,  # noqa: ANN401
    tables: Any,  # noqa: ANN401
    kinds: Any,  # noqa: ANN401
    row: Any,  # noqa: ANN401
    query: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """The product of a row of levels with a query, int32; nothing of it may need more bits.

    Parameters
    ----------
    data : uint8 array
        Packed codes; the row begins at ``start``, and at least n bytes from there can be read.
    tables : int8 array of shape (2, 16)
        The levels of the codes, of two kinds.
    kinds : uint8 array of shape (rows, 2, n / 8), or None
        A bit for each even code of row ``row`` and one for each odd code, lowest first: the kind. None where there is
        only the first.
    query : int16 array of shape (2, n)
        Even and odd values; n is a multiple of 32.
    """
    return types.int32(data, start, tables, kinds, row, query), _lower


sum_levels: Any = intrinsic(_sum_levels)


def _lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ANN401
    def array(place: int) -> Any:  # noqa: ANN401
        return context.make_array(signature.args[place])(context, builder, args[place])

    def load(pointer: Any, index: Any, kind: Any) -> Any:  # noqa: ANN401
        return builder.load(builder.bitcast(builder.gep(pointer, [index]), kind.as_pointer()), align=1)

    def pick(vector: Any, lanes: Iterable[int]) -> Any:  # noqa: ANN401
        which = [_LONG(lane) for lane in lanes]
        return builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(_LONG, len(which)), which))

    lookup, lanes = _lookup(context, builder)
    codes, words, longs = (ir.VectorType(part, lanes // n) for n, part in ((1, _BYTE), (2, _WORD), (2, _LONG)))
    sums = ir.VectorType(_LONG, lanes // 4)
    ones = ir.Constant(codes, [1 << i % 8 for i in range(lanes)])
    query, kinds = array(5), None if signature.args[3] == types.none else array(3).data
    data, n = builder.gep(array(0).data, [args[1]]), builder.extract_value(query.shape, 1)
    sixteen = ir.VectorType(_BYTE, 16)
    tables = [pick(load(array(2).data, _SIZE(16 * kind), sixteen), [i % 16 for i in range(lanes)]) for kind in range(2)]
    total = cgutils.alloca_once_value(builder, ir.Constant(sums, None))
    with cgutils.for_range_slice(builder, _SIZE(0), n, _SIZE(lanes), _SIZE) as (at, _):
        pairs = load(data, at, codes)
        even = builder.and_(pairs, ir.Constant(codes, [15] * lanes))
        odd = builder.lshr(pairs, ir.Constant(codes, [4] * lanes))
        for half, found in enumerate((even, odd)):
            levels = lookup(tables[0], found)
            if kinds is not None:
                before = builder.add(builder.mul(args[4], _SIZE(2)), _SIZE(half))  # halves of rows
                place = builder.lshr(builder.add(builder.mul(n, before), at), _SIZE(3))
                bits = pick(load(kinds, place, ir.VectorType(_BYTE, lanes // 8)), [i // 8 for i in range(lanes)])
                second = builder.icmp_unsigned("!=", builder.and_(bits, ones), ir.Constant(codes, None))
                levels = builder.select(second, lookup(tables[1], found), levels)
            for low in (0, lanes // 2):
                place = builder.add(builder.mul(n, _SIZE(half)), builder.add(at, _SIZE(low)))
                level = builder.sext(builder.sext(pick(levels, range(low, low + lanes // 2)), words), longs)
                products = builder.mul(level, builder.sext(load(query.data, place, words), longs))
                # neighbours are added first: for that and the products of 16 bits LLVM knows one instruction
                pair = builder.add(pick(products, range(0, lanes // 2, 2)), pick(products, range(1, lanes // 2, 2)))
                builder.store(builder.add(builder.load(total), pair), total)
    add_up = ir.FunctionType(_LONG, [sums])
    function = cgutils.get_or_insert_function(builder.module, add_up, f"llvm.vector.reduce.add.v{lanes // 4}i32")
    return builder.call(function, [builder.load(total)])


def _lookup(context: Any, builder: Any) -> tuple[Any, int]:  # noqa: ANN401
    """What looks up a vector of codes in a table, and how many codes that is.

    By the features that numba compiles for, which the environment may restrict; they are part of the key of its cache.
    """
    triple, _, named = context.codegen().magic_tuple()
    features = named.split(",")
    if triple.startswith(("aarch64", "arm64")):
        features.append("+neon")  # they all have it; LLVM names no features on macOS
    for feature, (name, lanes) in _LOOKUPS.items():
        if feature in features:
            vector = ir.VectorType(_BYTE, lanes)
            function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 2), name)
            return lambda *table_codes: builder.call(function, table_codes), lanes  # noqa: B023

    def one_by_one(table: Any, codes: Any) -> Any:  # noqa: ANN401
        for lane in range(16):
            level = builder.extract_element(table, builder.extract_element(codes, _LONG(lane)))
            codes = builder.insert_element(codes, level, _LONG(lane))
        return codes

    return one_by_one, 16


@kernel
def score_nibbles(
    data: NDArray[np.uint8],
    stride: int,
    tables: NDArray[np.int8],
    kinds: NDArray[np.uint8] | None,
    query: NDArray[np.int16],
    unit: np.float32,
    base: np.float32,
    factors: NDArray[np.float32],
    inverse: NDArray[np.float32],
    off: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Scores of rows of 4-bit codes, as `qemb.search.nibbles` has them.

    Parameters
    ----------
    data : uint8 array
        Bytes from the first row on, and some past the last.
    stride : int
        Bytes from row to row.
    tables, kinds, query : arrays
        As `_sum_levels` has them.
    unit, base : float32
        What an integer of the query stands for; the product of the query with what is added to all rows.
    factors, inverse, off : float32 arrays of shape (rows,)
    out : float32 array of shape (rows,)
    """
    for row in range(len(out)):
        total = sum_levels(data, np.uint64(row * stride), tables, kinds, np.uint64(row), query)
        out[row] = np.float32(total) * (factors[row] * unit) + base * inverse[row] + off[row]
