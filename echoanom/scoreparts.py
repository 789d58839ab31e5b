"""Cut a scoring into parts that are computed apart, and fit together bit for bit.

Pure arithmetic. A part is some consecutive batches of windows. The score of its first
rows also counts the windows before them, so whoever computes it begins a few batches
earlier: with the first whose windows reach into the part. From there on all sums are
those that one process makes, in the same order.
"""

from __future__ import annotations

from echoanom.windowing import WindowIndex

_MOST_WINDOWS = 2048
_WARM_UPS = 24
_FEWEST_WARM_UPS = 4
_PARTS = 64
_PART_BYTES = 1 << 26
_SHARE_BYTES = 2
_ROW_BYTES = 32


def cut(index: WindowIndex, columns: int) -> list[range]:
    """Cut the batches of an epoch into parts.

    Parameters
    ----------
    index : WindowIndex
        The windows, in order of time: not shuffled.
    columns : int
        Columns of the dataset.

    Returns
    -------
    list of range
        Numbers of the batches of each part. The parts do not depend on who computes
        them. One has up to some thousand windows, fewer where that makes fewer than 64
        parts, and so many that what is computed twice stays a few per cent. What comes
        back of it has at most 64 MiB, unless most would be computed twice.
    """
    size, stride = index.options.size, index.options.stride
    batch_size = index.options.batch_size
    shared = -(-(size - 1) // stride)
    enough = max(len(index) // _PARTS, _WARM_UPS * shared)
    fitting = _PART_BYTES // ((columns * _SHARE_BYTES + _ROW_BYTES) * min(stride, size))
    windows = min(max(_MOST_WINDOWS, _WARM_UPS * shared), enough, fitting)
    windows = max(windows, _FEWEST_WARM_UPS * shared)
    each = max(windows // batch_size, 1)
    return [
        range(first, min(first + each, index.batches))
        for first in range(0, index.batches, each)
    ]


def warm_up(index: WindowIndex, batches: range) -> range:
    """Put before a part the batches whose windows reach into it.

    Parameters
    ----------
    index : WindowIndex
        The windows, in order of time: not shuffled.
    batches : range
        Numbers of the part's batches.

    Returns
    -------
    range
        Numbers of the batches to compute.
    """
    first_row = int(index.batch(batches.start)[0])
    begin = batches.start
    # No window crosses a gap, so one that ends behind the row holds it.
    while begin and int(index.batch(begin - 1)[-1]) + index.options.size > first_row:
        begin -= 1
    return range(begin, batches.stop)
