"""Windows of a stream: those of the dataset, dealt out in any way, or a clear error."""

from __future__ import annotations

import collections
import io
import tracemalloc

import numpy as np
import pytest
from datasets import small_dataset
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive import naive_runs, naive_uncovered, naive_windows
from streams import (
    Archive,
    Short,
    ShortInto,
    archives,
    assert_stored,
    fifo_writer,
    make_archive,
    row_of,
)

from echoanom.errors import (
    CorruptionError,
    DatasetError,
    OptionError,
    TruncatedError,
    WindowError,
)
from echoanom.normalization import Normalization, fit_normalization
from echoanom.options import ShardOptions, WindowOptions
from echoanom.pipeline import windows
from echoanom.streaming import FIELDS, stream_windows
from echoanom.windowing import select


def collect(batches) -> dict[str, np.ndarray]:
    found = collections.defaultdict(list)
    for batch in batches:
        for field, array in batch.items():
            found[field].append(array)
    return {field: np.concatenate(arrays) for field, arrays in found.items()}


def expected_rows(archive: Archive, size: int, stride: int) -> list[int]:
    return naive_windows(naive_runs(archive.present), size, stride)


def assert_windows(archive: Archive, found: dict[str, np.ndarray], size: int) -> None:
    """Hold values and marks to the rows at the windows' times."""
    rows = row_of(found["start"])
    for row, values, observed in zip(
        rows, found["values"], found["observed"], strict=True
    ):
        assert_stored(archive, values, row)
        np.testing.assert_array_equal(observed, archive.observed[row : row + size])


sizes = st.integers(1, 12)
strides = st.integers(1, 15)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    archives(), sizes, strides, st.integers(1, 7), st.booleans(), st.integers(1, 4096)
)
def test_all_shards_in_order_give_all_windows_in_order(
    archive, size, stride, batch_size, drop_remainder, buffer_bytes
):
    expected = expected_rows(archive, size, stride)
    assume(expected)
    options = WindowOptions(
        size=size, stride=stride, batch_size=batch_size, drop_remainder=drop_remainder
    )
    for file in (
        io.BytesIO(archive.stream()),
        Short(archive.stream(), seed=size),
        ShortInto(archive.stream(), seed=stride),
    ):
        batches = list(
            stream_windows(file, archive.manifest, options, buffer_bytes=buffer_bytes)
        )
        whole, rest = divmod(len(expected), batch_size)
        lengths = [batch_size] * whole + [rest] * (rest > 0 and not drop_remainder)
        assert [len(batch["start"]) for batch in batches] == lengths
        if batches:
            found = collect(batches)
            assert row_of(found["start"]) == expected[: sum(lengths)]
            assert_windows(archive, found, size)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(archives(), sizes, strides, st.integers(1, 7), st.integers(1, 40), st.data())
def test_shuffled_windows_are_the_same_once_each_and_repeatable(
    archive, size, stride, batch_size, pool_windows, data
):
    expected = expected_rows(archive, size, stride)
    assume(expected)
    options = WindowOptions(
        size=size,
        stride=stride,
        batch_size=batch_size,
        shuffle=True,
        seed=data.draw(st.integers(0, 2**63 - 1)),
    )

    def read(epoch: int) -> dict[str, np.ndarray]:
        file = Short(archive.stream(), seed=data.draw(st.integers(0, 99)))
        return collect(
            stream_windows(
                file, archive.manifest, options, pool_windows=pool_windows, epoch=epoch
            )
        )

    first, again, second = read(0), read(0), read(1)
    for found in (first, second):
        assert sorted(row_of(found["start"])) == expected
        assert_windows(archive, found, size)
    for field in FIELDS:
        assert first[field].tobytes() == again[field].tobytes()


def test_epochs_have_orders_of_their_own():
    archive = make_archive([(300, 1)])
    options = WindowOptions(size=8, shuffle=True, seed=1)

    def order(**more) -> tuple[int, ...]:
        file = io.BytesIO(archive.stream())
        found = collect(stream_windows(file, archive.manifest, options, **more))
        return tuple(row_of(found["start"]))

    orders = [order(epoch=epoch, pool_windows=64) for epoch in range(3)]
    assert len({*orders, tuple(range(293))}) == 4


deals = st.integers(1, 16).flatmap(
    lambda workers: st.tuples(
        st.just(workers),
        st.lists(st.integers(0, workers - 1), min_size=40, max_size=40),
        st.permutations(range(40)),
    )
)


def dealt(deal, shards: int) -> list[list[int]]:
    """Deal shards out: to whom each goes, and in what order they come there."""
    workers, to, order = deal
    hands: list[list[int]] = [[] for _ in range(workers)]
    for place in order:
        if place < shards:
            hands[to[place]].append(place)
    return hands


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    archives(st.integers(11, 30)),
    sizes,
    strides,
    deals,
    st.booleans(),
    st.integers(1, 9),
)
def test_haloed_shards_give_each_window_once_however_they_are_dealt_out(
    archive, size, stride, deal, shuffle, batch_size
):
    expected = expected_rows(archive, size, stride)
    assume(expected)
    options = WindowOptions(
        size=size, stride=stride, batch_size=batch_size, shuffle=shuffle
    )
    everything = []
    for hand in dealt(deal, len(archive.shards)):
        file = io.BytesIO(archive.stream(hand))
        found = collect(stream_windows(file, archive.manifest, options))
        ours = [
            row for shard in hand for row in expected if archive.shard_of(row) == shard
        ]
        if not ours:
            assert not found
            continue
        rows = row_of(found["start"])
        assert (sorted(rows), sorted(ours)) == (sorted(ours), sorted(rows))
        assert shuffle or rows == ours
        assert_windows(archive, found, size)
        everything += rows
    assert sorted(everything) == expected


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(archives(st.integers(11, 30)), sizes, strides)
def test_each_haloed_shard_alone_gives_the_windows_that_start_in_it(
    archive, size, stride
):
    expected = expected_rows(archive, size, stride)
    assume(expected)
    for shard, content in enumerate(archive.shards):
        found = collect(
            stream_windows(
                io.BytesIO(content),
                archive.manifest,
                WindowOptions(size=size, stride=stride),
            )
        )
        ours = [row for row in expected if archive.shard_of(row) == shard]
        assert row_of(found["start"] if found else np.empty(0, int)) == ours


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(archives(st.integers(0, 8)), st.integers(2, 12), strides, deals, st.booleans())
def test_a_short_halo_gives_all_windows_or_an_error_and_never_some(
    archive, size, stride, deal, shuffle
):
    expected = expected_rows(archive, size, stride)
    assume(expected)
    options = WindowOptions(size=size, stride=stride, batch_size=4, shuffle=shuffle)
    for hand in dealt(deal, len(archive.shards)):
        lacking = naive_uncovered(
            expected, size, hand, archive.spans, archive.present,
            archive.manifest.shard.halo,
        )  # fmt: skip
        ours = [
            row for shard in hand for row in expected if archive.shard_of(row) == shard
        ]
        batches = stream_windows(
            io.BytesIO(archive.stream(hand)), archive.manifest, options
        )
        if lacking:
            with pytest.raises(WindowError, match=f"--halo {size - 1} or more"):
                for batch in batches:
                    assert set(row_of(batch["start"])) <= set(ours) - set(lacking)
        else:
            found = collect(batches)
            rows = row_of(found["start"]) if found else []
            assert sorted(rows) == sorted(ours)
            assert shuffle or rows == ours


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    archives(),
    sizes,
    strides,
    st.lists(
        st.tuples(st.integers(0, 200), st.integers(1, 60)), min_size=1, max_size=3
    ),
)
def test_windows_stay_inside_of_selected_runs(archive, size, stride, intervals):
    times = [
        (1_600_000_020 + 60 * a, 1_600_000_020 + 60 * (a + b)) for a, b in intervals
    ]
    runs = select(archive.manifest.runs(), 60, include=times)
    kept = [
        there and any(a <= row < a + b for a, b in intervals)
        for row, there in enumerate(archive.present)
    ]
    expected = naive_windows(naive_runs(kept), size, stride)
    assume(expected)
    file = io.BytesIO(archive.stream())
    options = WindowOptions(size=size, stride=stride)
    found = collect(stream_windows(file, archive.manifest, options, runs=runs))
    assert row_of(found["start"]) == expected
    assert_windows(archive, found, size)


# A converted dataset, held to the other reader


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return small_dataset(
        tmp_path_factory.mktemp("streaming"),
        sharding=ShardOptions(shard_mib=0.003, record_kib=0.5, halo=39),
    )


def content_of(dataset) -> bytes:
    parts = []
    for number, shard in enumerate(dataset.manifest.shards):
        if shard.rows:
            with open(dataset.shard_path(number), "rb") as file:
                parts.append(file.read())
    return b"".join(parts)


@pytest.mark.parametrize("size, stride", [(1, 1), (8, 1), (8, 3), (40, 40), (8, 50)])
@pytest.mark.parametrize("kind", [None, "range", "standard", "robust"])
def test_a_stream_gives_what_the_indexed_reader_gives(dataset, size, stride, kind):
    normalization = kind and fit_normalization(dataset.statistics(), kind)
    options = WindowOptions(size=size, stride=stride)
    expected = collect(
        windows(dataset, options, normalization=normalization).as_numpy_iterator()
    )
    found = collect(
        stream_windows(
            io.BytesIO(content_of(dataset)),
            dataset.manifest,
            options,
            normalization=normalization,
        )
    )
    for field in FIELDS:
        assert found[field].tobytes() == expected[field].tobytes()
    assert kind is None or not np.isnan(found["values"]).any()


def test_shuffled_windows_are_a_permutation_of_the_indexed_reader_s(dataset):
    options = WindowOptions(size=8, stride=3, shuffle=True)
    expected = collect(windows(dataset, options).as_numpy_iterator())
    found = collect(
        stream_windows(
            io.BytesIO(content_of(dataset)), dataset.manifest, options, pool_windows=20
        )
    )
    for field in FIELDS:
        ours, theirs = (
            sorted(
                (start, one.tobytes())
                for start, one in zip(w["start"], w[field], strict=True)
            )
            for w in (found, expected)
        )
        assert ours == theirs


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("stride", [1, 16])
def test_windows_are_normalised_bit_for_bit_as_whole_ones(stride, shuffle):
    archive = make_archive(
        [(900, 3), (400, 1)], [333, 1000], record_rows=90, columns=900, missing=0.2
    )
    rng = np.random.default_rng(3)
    normalization = Normalization(
        "robust", *(rng.normal(size=900).astype(np.float32) for _ in range(3))
    )
    options = WindowOptions(size=16, stride=stride, batch_size=8, shuffle=shuffle)
    for fields in (FIELDS, ("start", "values")):
        count = 0
        for batch in stream_windows(
            io.BytesIO(archive.stream()),
            archive.manifest,
            options,
            normalization=normalization,
            fields=fields,
            pool_windows=50,
        ):
            assert tuple(batch) == fields
            for row, values in zip(
                row_of(batch["start"]), batch["values"], strict=True
            ):
                expected = normalization.apply(archive.values[row : row + 16])
                assert values.tobytes() == expected.tobytes()
                count += 1
        assert count == len(expected_rows(archive, 16, stride))


def test_batches_stay_as_they_are_when_others_come():
    archive = make_archive([(400, 2), (300, 1)], record_rows=30, columns=40)
    for stride in (1, 8):
        options = WindowOptions(size=8, stride=stride, batch_size=4)
        kept = list(
            stream_windows(io.BytesIO(archive.stream()), archive.manifest, options)
        )
        assert_windows(archive, collect(kept), 8)


def test_batches_are_aligned_as_tensorflow_takes_them():
    archive = make_archive([(200, 1)], columns=3)
    for options in (
        WindowOptions(size=8, batch_size=4),
        WindowOptions(size=8, batch_size=4, stride=8),
        WindowOptions(size=8, batch_size=4, shuffle=True),
    ):
        for batch in stream_windows(
            io.BytesIO(archive.stream()), archive.manifest, options
        ):
            assert batch["values"].ctypes.data % 64 == 0
            assert batch["observed"].ctypes.data % 64 == 0


# Memory


def peak(archive: Archive, size: int, pool_windows: int, fields=FIELDS) -> int:
    """Return the most memory that shuffling a stream takes [byte]."""
    options = WindowOptions(size=size, shuffle=True, batch_size=1)
    file = io.BytesIO(archive.stream())
    tracemalloc.start()
    try:
        for _ in stream_windows(
            file,
            archive.manifest,
            options,
            pool_windows=pool_windows,
            fields=fields,
            buffer_bytes=1 << 16,
        ):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_a_pool_costs_its_rows_and_not_its_windows():
    columns, size, pool = 256, 64, 1600
    archive = make_archive([(6000, 1)], record_rows=20, columns=columns)
    rows = pool + 8 * size
    found = peak(archive, size, pool)
    # 5 bytes a cell; the buffers, a batch and the windows' numbers come on top.
    assert found < 1.25 * rows * columns * 5
    assert found < pool * size * columns * 5 / 30


@pytest.mark.slow
def test_memory_does_not_grow_with_the_stream():
    short, long = (
        make_archive([(rows, 1)], record_rows=100, columns=64) for rows in (3000, 12000)
    )
    assert peak(long, 16, 800) < 1.1 * peak(short, 16, 800)


# What is refused


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"fields": ("values", "label")}, "fields must be among"),
        ({"fields": ()}, "fields must be among"),
        ({"pool_windows": 0}, "pool_windows must be at least 1, got 0"),
        ({"buffer_bytes": 0}, "buffer_bytes must be at least 1, got 0"),
        ({"epoch": -1}, "epoch must be at least 0, got -1"),
    ],
)
def test_arguments_out_of_range_are_refused_before_a_byte_is_read(arguments, message):
    archive = make_archive([(20, 1)])
    file = io.BytesIO(archive.stream())
    with pytest.raises(OptionError, match=message):
        stream_windows(file, archive.manifest, WindowOptions(size=4), **arguments)
    assert file.tell() == 0


def test_a_window_that_fits_nowhere_is_refused_before_a_byte_is_read():
    archive = make_archive([(20, 1), (10, 1)])
    with pytest.raises(WindowError, match="must fit into a run.*2 runs has 20 rows"):
        stream_windows(io.BytesIO(), archive.manifest, WindowOptions(size=21))


@pytest.fixture(scope="module")
def small() -> Archive:
    return make_archive([(9, 1), (8, 1)], [6], halo=3, record_rows=3, missing=0)


def prefix_until(archive, content, error, options, normalization=None):
    """Read until an error; return the message, and the windows that came before."""
    batches = []
    stream = stream_windows(
        io.BytesIO(content), archive.manifest, options, normalization=normalization
    )
    with pytest.raises(error) as refused:
        for batch in stream:
            batches.append(batch)
    assert type(refused.value) is error
    return str(refused.value), batches


@pytest.mark.slow
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_stream_cut_anywhere_gives_right_windows_and_then_the_offset(small, shuffle):
    content, borders = small.stream(), small.record_offsets()
    ends = [0, *np.cumsum([len(shard) for shard in small.shards]).tolist()]
    options = WindowOptions(size=4, batch_size=1, shuffle=shuffle)
    for cut in range(len(content)):
        if cut in ends:
            continue
        message, batches = prefix_until(small, content[:cut], TruncatedError, options)
        inside = max(border for border in borders if border <= cut)
        if cut == inside:
            number = borders.index(cut) - max(
                i
                for i, border in enumerate(borders)
                if border in ends and border <= cut
            )
            assert f"ends after {number} of the" in message
        else:
            assert f"ends at byte {cut}, inside the record at byte {inside}" in message
        if batches:
            found = collect(batches)
            assert_windows(small, found, 4)
            assert shuffle or row_of(found["start"]) == [
                *expected_rows(small, 4, 1)[: len(found["start"])]
            ]


@pytest.mark.slow
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_byte_changed_anywhere_is_refused_before_a_wrong_number(small, shuffle):
    content, borders = small.stream(), small.record_offsets()
    options = WindowOptions(size=4, batch_size=1, shuffle=shuffle)
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1 << at % 8
        message, batches = prefix_until(small, bytes(changed), CorruptionError, options)
        start = max(border for border in borders if border <= at)
        assert f"the record at byte {start} has" in message
        if batches:
            assert_windows(small, collect(batches), 4)


def test_whole_shards_alone_are_a_whole_stream(small):
    options = WindowOptions(size=4)
    assert list(stream_windows(io.BytesIO(), small.manifest, options)) == []
    found = collect(
        stream_windows(io.BytesIO(small.shards[0]), small.manifest, options)
    )
    assert row_of(found["start"]) == [0, 1, 2, 3, 4, 5]


def test_the_stream_of_another_dataset_is_refused(small):
    options = WindowOptions(size=4)
    for other, message in (
        (make_archive([(9, 1)], columns=3), "of another kind.*2 float32 columns"),
        (make_archive([(9, 1)], dtype="float16"), "of another kind"),
        (make_archive([(9, 1)], seed=1), "differs from the manifest in"),
        (make_archive([(2, 2), (9, 1)], [4]), "differs from the manifest in"),
    ):
        stream = stream_windows(io.BytesIO(other.stream()), small.manifest, options)
        with pytest.raises(CorruptionError, match=message):
            next(stream)


def test_a_shard_that_comes_twice_is_refused(small):
    stream = stream_windows(
        io.BytesIO(small.stream([0, 1, 0])), small.manifest, WindowOptions(size=4)
    )
    with pytest.raises(DatasetError, match="must come once, but comes again at byte"):
        list(stream)


def test_letting_go_of_windows_leaves_the_file_to_its_owner(small):
    file = io.BytesIO(small.stream())
    stream = stream_windows(file, small.manifest, WindowOptions(size=4, batch_size=1))
    next(stream)
    stream.close()
    assert not file.closed


def test_a_fifo_of_several_shards_is_read_while_it_is_written(tmp_path):
    archive = make_archive([(20_000, 1)], [7000], record_rows=300, columns=100)
    with fifo_writer(tmp_path, archive.stream()) as (path, writer):
        with open(path, "rb", buffering=0) as file:
            found = collect(
                stream_windows(
                    file, archive.manifest, WindowOptions(size=64, stride=64)
                )
            )
        assert writer.wait() == 0
    assert row_of(found["start"]) == expected_rows(archive, 64, 64)
    assert_windows(archive, found, 64)


def test_a_writer_that_is_killed_is_a_truncated_stream(tmp_path):
    archive = make_archive([(2000, 1)], record_rows=300, columns=10)
    content = archive.stream()[:-1]
    options = WindowOptions(size=64, stride=64)
    with fifo_writer(tmp_path, content, end="kill") as (path, writer):
        with (
            open(path, "rb", buffering=0) as file,
            pytest.raises(TruncatedError, match=f"ends at byte {len(content)}, inside"),
        ):
            list(stream_windows(file, archive.manifest, options))
        assert writer.wait() == -9
