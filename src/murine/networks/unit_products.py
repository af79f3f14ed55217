"""Products between images, summed over the units of a layer, by compiled vector instructions.

The product of a wide matrix with its transpose has few rows and a very long inner dimension. BLAS copies both factors
into an order that pays for square products, and reaches half of the speed of the processor here. This module computes
tiles of 4 x 6 products instead, each in 16 sums that stay in registers, straight from one copy of a block of units.

The order of all additions is fixed, and each multiplication and its addition are rounded once. So the numbers depend
neither on the processor nor on the number of threads.

This module is compiled with numba: import it inside functions (`murine.compilation`).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Float
from llvmlite import ir
from numba import extending
from numba.core import cgutils, types

from murine.compilation import compiled

#: Rows and columns of a tile of products: 24 sums and the 7 vectors that they need fill the 32 registers of AVX-512.
_ROWS, _COLUMNS = 4, 6

#: Numbers in a vector, and sums of which each product is made.
_LANES = 16

#: Units whose products are summed in float32.
_SHORT = 4096

#: Units between rows of the copy: whole numbers of 4 kB would put all rows in the same places of the cache.
_GAP = _LANES

# numba's types say less about these than mypy wants to know.
_as_instructions: Any = extending.intrinsic
_code: Any = cgutils


def _sum_lanes(builder: Any, vectors: list[Any]) -> Any:
    """Emit one vector with the sum of each vector: halves are added until one number of each is left."""
    width, lanes = _LANES, _LANES
    while width > 1:
        half = width // 2
        if len(vectors) > 1:
            pairs = list(zip(vectors[::2], vectors[1::2], strict=True))
            lanes = _LANES
            starts = list(range(0, 2 * _LANES, width))
        else:
            pairs = [(vectors[0], vectors[0])]
            starts = list(range(0, lanes, width))
            lanes //= 2
        lower = [start + k for start in starts for k in range(half)]
        upper = [start + half + k for start in starts for k in range(half)]
        kind = ir.VectorType(ir.IntType(32), lanes)
        vectors = [
            builder.fadd(
                builder.shuffle_vector(one, other, ir.Constant(kind, lower)),
                builder.shuffle_vector(one, other, ir.Constant(kind, upper)),
            )
            for one, other in pairs
        ]
        width = half
    return vectors[0]


@_as_instructions  # type: ignore[untyped-decorator]
def _add_tile(_: Any, rows: Any, first_row: Any, first_column: Any, n_units: Any, tiles: Any, tile: Any) -> Any:
    """Add the products of 4 rows with 6 rows, over the first units, to the numbers of a tile.

    ``rows`` is float32, ``tiles`` is (n_tiles, 24) float64; the number of units is a multiple of 16.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count, vector = ir.IntType(64), ir.VectorType(ir.FloatType(), _LANES)
        source = context.make_array(signature.args[0])(context, builder, args[0])
        target = context.make_array(signature.args[4])(context, builder, args[4])
        base = builder.bitcast(source.data, ir.IntType(8).as_pointer())
        stride = _code.unpack_tuple(builder, source.strides)[0]

        def starts(first: Any, number: int) -> list[Any]:
            return [builder.gep(base, [builder.mul(builder.add(first, count(k)), stride)]) for k in range(number)]

        left, right = starts(args[1], _ROWS), starts(args[2], _COLUMNS)
        multiply_add = _code.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.v{_LANES}f32"
        )
        before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
        builder.branch(loop)
        builder.position_at_end(loop)
        unit = builder.phi(count)
        unit.add_incoming(count(0), before)
        sums = [builder.phi(vector) for _ in range(_ROWS * _COLUMNS)]
        offset = builder.shl(unit, count(2))  # in bytes

        def load(start: Any) -> Any:
            return builder.load(builder.bitcast(builder.gep(start, [offset]), vector.as_pointer()), align=4)

        others = [load(start) for start in right]
        added: list[Any] = []
        for start in left:
            one = load(start)
            added += [builder.call(multiply_add, [one, other, sums[len(added) + k]]) for k, other in enumerate(others)]
        following = builder.add(unit, count(_LANES))
        unit.add_incoming(following, loop)
        for total, new in zip(sums, added, strict=True):
            total.add_incoming(ir.Constant(vector, [0.0] * _LANES), before)
            total.add_incoming(new, loop)
        builder.cbranch(builder.icmp_signed("<", following, args[3]), loop, after)
        builder.position_at_end(after)
        place = builder.gep(target.data, [builder.mul(args[5], count(_ROWS * _COLUMNS))])
        for first, number in ((0, 16), (16, 8)):
            doubles = ir.VectorType(ir.DoubleType(), number)
            total = builder.fpext(_sum_lanes(builder, added[first : first + number]), doubles)
            pointer = builder.bitcast(builder.gep(place, [count(first)]), doubles.as_pointer())
            builder.store(builder.fadd(builder.load(pointer, align=8), total), pointer, align=8)
        return context.get_dummy_value()

    return types.void(rows, first_row, first_column, n_units, tiles, tile), generate


@compiled
def _add_products(
    features: np.ndarray, centre: np.ndarray, start: int, stop: int, copy: np.ndarray, tiles: np.ndarray
) -> None:
    """Add the products over some units to all tiles on or below the diagonal."""
    n = len(centre)
    for first in range(start, stop, _SHORT):
        width = min(_SHORT, stop - first)
        whole = -(-width // _LANES) * _LANES
        for row in range(n):
            mean, given, kept = centre[row], features[row, first : first + width], copy[row]
            for unit in range(width):  # of slices, so that no index can be negative, which would cost vectors
                kept[unit] = given[unit] - mean
            kept[width:whole] = 0.0
        tile = 0
        for column in range(0, len(copy), _COLUMNS):
            for row in range(column // _ROWS * _ROWS, len(copy), _ROWS):
                _add_tile(copy, row, column, whole, tiles, tile)
                tile += 1


@compiled
def _unfold(tiles: np.ndarray, products: np.ndarray) -> None:
    """Put the numbers of tiles into both halves of a matrix."""
    n, tile = len(products), 0
    for column in range(0, n, _COLUMNS):
        for row in range(column // _ROWS * _ROWS, n, _ROWS):
            for k in range(_ROWS * _COLUMNS):
                i, j = row + k // _COLUMNS, column + k % _COLUMNS
                if j <= i:
                    products[i, j] = products[j, i] = tiles[tile, k]
            tile += 1


def sum_products(
    features: Float[np.ndarray, "n_stimuli n_units"],
    centre: Float[np.ndarray, " n_stimuli"],
    block: int,
    n_threads: int,
) -> tuple[Float[np.ndarray, "n_stimuli n_stimuli"], Float[np.ndarray, " n_stimuli"]]:
    """Sum the products of the features of every two images, and the features of each image, over units.

    Parameters
    ----------
    features
        (n_stimuli, n_units), float32. NaN and infinite features give NaN in the products of their images.
    centre
        (n_stimuli,), float32: subtracted from the features of each image.
    block
        Units that are summed apart from others. Sums of blocks are added in their order.
    n_threads
        Number of threads. It does not change the numbers.

    Returns
    -------
    products, sums
        (n_stimuli, n_stimuli) and (n_stimuli,), float64: of the features less the centre.

    Examples
    --------
    >>> features = np.arange(6, dtype=np.float32).reshape(2, 3)
    >>> products, sums = sum_products(features, np.zeros(2, np.float32), block=2, n_threads=1)
    >>> products.tolist(), sums.tolist()
    ([[5.0, 14.0], [14.0, 50.0]], [3.0, 12.0])
    """
    n, n_units = features.shape
    period = _ROWS * _COLUMNS // 2  # common multiple of both sides of a tile
    n_rows = -(-(n + 1) // period) * period
    n_tiles = sum((n_rows - column // _ROWS * _ROWS) // _ROWS for column in range(0, n_rows, _COLUMNS))
    width = -(-min(_SHORT, block, n_units) // _LANES) * _LANES + _GAP

    def of_block(start: int) -> np.ndarray:
        copy = np.zeros((n_rows, width), np.float32)
        copy[n] = 1.0  # products with ones are the sums
        tiles = np.zeros((n_tiles, _ROWS * _COLUMNS))
        _add_products(features, centre, start, min(start + block, n_units), copy, tiles)
        return tiles

    starts = range(0, n_units, block)
    total = np.zeros((n_tiles, _ROWS * _COLUMNS))
    if n_threads > 1 and len(starts) > 1:
        with ThreadPoolExecutor(min(n_threads, len(starts))) as pool:
            for tiles in pool.map(of_block, starts):
                total += tiles
    else:
        for start in starts:
            total += of_block(start)
    products = np.empty((n_rows, n_rows))
    _unfold(total, products)
    return products[:n, :n], products[n, :n]
