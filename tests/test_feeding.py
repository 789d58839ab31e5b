"""Feeds: each window of an epoch once over the workers, however shards are dealt out."""

from __future__ import annotations

import collections
import io
import random
from collections.abc import Iterator

import numpy as np
import pytest
from streams import Archive, make_archive

from echoanom.errors import OptionError, TruncatedError
from echoanom.feeding import StreamFeed
from echoanom.normalization import Normalization
from echoanom.options import Share, WindowOptions
from echoanom.pipeline import plain_errors

pytestmark = pytest.mark.slow

SIZE, STRIDE, BATCH = 5, 2, 8
RUNS = [(40, 3), (31, 0)]
BORDERS = [13, 27, 40, 52, 60]


@pytest.fixture(scope="module")
def archive() -> Archive:
    return make_archive(RUNS, BORDERS, halo=SIZE - 1, missing=0.0, filled=0.0)


def identity(columns: int) -> Normalization:
    zeros, ones = np.zeros(columns, np.float32), np.ones(columns, np.float32)
    return Normalization("range", zeros, ones, zeros)


def window(shuffle: bool = False) -> WindowOptions:
    return WindowOptions(SIZE, STRIDE, BATCH, shuffle=shuffle, seed=7)


def feed(archive: Archive, orders: list[list[int]], **options) -> StreamFeed:
    """Feed the shards of some orders, one after the other epoch."""
    given = {"shuffle": False, **options}
    shuffle = given.pop("shuffle")
    return StreamFeed(
        lambda epoch: io.BytesIO(archive.stream(orders[epoch])),
        archive.manifest,
        window(shuffle),
        archive.manifest.runs(),
        identity(len(archive.manifest.columns)),
        **given,
    )


def windows_of(batches: Iterator, limit: int | None = None) -> list[bytes]:
    """Return the content of each window; with a limit, of so many batches."""
    found = []
    for number, (values, _) in enumerate(batches):
        if number == limit:
            break
        found += [one.tobytes() for one in values.numpy()]
    return found


def every_window(archive: Archive) -> collections.Counter[bytes]:
    order = list(range(len(archive.shards)))
    found = windows_of(iter(feed(archive, [order]).stream()))
    assert len(found) == len(set(found))
    return collections.Counter(found)


def deal(count: int, workers: int, seed: int) -> list[list[int]]:
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return [order[worker::workers] for worker in range(workers)]


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_workers_that_read_the_same_shards_share_each_batch(
    archive: Archive, workers: int
) -> None:
    order = list(range(len(archive.shards)))
    alone = list(feed(archive, [order]).stream())
    parts = [
        list(feed(archive, [order], share=Share(worker, workers)).stream())
        for worker in range(workers)
    ]
    assert {len(part) for part in parts} == {len(alone)}
    for number, (whole, _) in enumerate(alone):
        for worker, part in enumerate(parts):
            np.testing.assert_array_equal(part[number][0], whole[worker::workers])


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("workers", [1, 2, 4, 7])
def test_workers_with_shards_of_their_own_have_each_window_once_in_every_epoch(
    archive: Archive, workers: int, shuffle: bool
) -> None:
    dealt = [deal(len(archive.shards), workers, seed) for seed in range(3)]
    found: list[collections.Counter[bytes]] = [collections.Counter() for _ in range(3)]
    for worker in range(workers):
        one = feed(
            archive,
            [epoch[worker] for epoch in dealt],
            share=Share(worker, workers),
            dealt=True,
            shuffled=True,
            shuffle=shuffle,
        )
        assert one.windows == sum(every_window(archive).values())
        stream = one.stream()
        for epoch in range(3):
            found[epoch].update(windows_of(iter(stream), one.windows))
    assert found == [every_window(archive)] * 3


@pytest.mark.parametrize("done", [0, BATCH, 3 * BATCH])
@pytest.mark.parametrize("shuffle", [False, True])
def test_an_interrupted_epoch_goes_on_where_it_was(
    archive: Archive, done: int, shuffle: bool
) -> None:
    order = list(range(len(archive.shards)))
    orders = [order, order]
    one = feed(archive, orders, shuffle=shuffle)
    stream = one.stream()
    epochs = [windows_of(iter(stream)) for _ in range(2)]
    resumed = feed(archive, orders, shuffle=shuffle).stream(one.windows + done)
    assert windows_of(iter(resumed)) == epochs[1][done:]


def test_another_order_each_time_can_only_go_on_with_an_epoch(archive: Archive) -> None:
    one = feed(archive, [[0]], dealt=True)
    one.stream(2 * one.windows)
    with pytest.raises(
        OptionError, match="must begin an epoch at its start, not after"
    ):
        one.stream(BATCH)


def test_a_shard_that_does_not_come_is_missed(archive: Archive) -> None:
    with (
        pytest.raises(
            TruncatedError, match="must give 32 windows in epoch 1, but ends"
        ),
        plain_errors(),
    ):
        list(feed(archive, [[0, 1, 2]]).stream())


@pytest.mark.parametrize(
    "options, message",
    [
        ({"share": Share(0, 9)}, "a window for each of 9 workers, but has 8"),
        ({"shuffled": True, "share": Share(0, 2)}, "must get them in the same order"),
    ],
)
def test_a_stream_that_cannot_give_each_window_once_is_refused(
    archive: Archive, options: dict, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        feed(archive, [[0]], **options)


@pytest.mark.parametrize("option", ["dealt", "shuffled"])
def test_shards_without_a_halo_cannot_be_dealt_or_shuffled(option: str) -> None:
    archive = make_archive(RUNS, BORDERS, halo=SIZE - 2)
    with pytest.raises(OptionError, match="convert with --halo 4"):
        feed(archive, [[0]], **{option: True})


def test_a_stream_does_not_choose_windows_by_what_it_has_not_read(
    archive: Archive,
) -> None:
    with pytest.raises(OptionError, match="min_observed must be 0 for a stream"):
        StreamFeed(
            lambda epoch: io.BytesIO(),
            archive.manifest,
            WindowOptions(SIZE, min_observed=0.5),
            archive.manifest.runs(),
            identity(2),
        )
