"""Dealing out shards: what is refused, and nothing else."""

from __future__ import annotations

import dataclasses

import pytest
from streams import make_archive

from echoanom.dealing import check_dealing
from echoanom.errors import OptionError
from echoanom.options import WindowOptions

WINDOW = WindowOptions(5, batch_size=8)


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("dealt, shuffled", [(False, False), (True, False)])
def test_shards_with_a_halo_may_be_dealt_out(workers, dealt, shuffled):
    manifest = make_archive([(20, 0)], [10], halo=4).manifest
    check_dealing(manifest, WINDOW, workers, dealt=dealt, shuffled=shuffled)


@pytest.mark.parametrize("workers, dealt", [(1, False), (8, True)])
def test_they_may_be_shuffled_for_one_or_dealt_out(workers, dealt):
    manifest = make_archive([(20, 0)], [10], halo=4).manifest
    check_dealing(manifest, WINDOW, workers, dealt=dealt, shuffled=True)


def test_shards_without_a_halo_may_come_in_order():
    manifest = make_archive([(20, 0)], [10]).manifest
    check_dealing(manifest, WINDOW, 2, dealt=False, shuffled=False)


@pytest.mark.parametrize(
    "halo, changes, workers, dealt, shuffled, message",
    [
        (3, {}, 1, True, False, "halo of at least 4 rows .* but carry 3; .*--halo 4"),
        (3, {}, 1, False, True, "halo of at least 4 rows"),
        (4, {}, 2, False, True, "2 workers .* must get them in the same order"),
        (4, {}, 9, True, True, "a window for each of 9 workers, but has 8"),
        (4, {"min_observed": 0.5}, 1, False, False, "min_observed must be 0 .* 0.5"),
    ],
)
def test_what_cannot_give_each_window_once_is_refused(
    halo, changes, workers, dealt, shuffled, message
):
    manifest = make_archive([(20, 0)], [10], halo=halo).manifest
    window = dataclasses.replace(WINDOW, **changes)
    with pytest.raises(OptionError, match=message):
        check_dealing(manifest, window, workers, dealt=dealt, shuffled=shuffled)
