"""What must hold for streams of shards to give several workers each window once."""

from __future__ import annotations

from echoanom.errors import OptionError
from echoanom.manifest import Manifest
from echoanom.options import WindowOptions


def check_dealing(
    manifest: Manifest,
    window: WindowOptions,
    workers: int,
    *,
    dealt: bool,
    shuffled: bool,
) -> None:
    """Require that streams of a dataset's shards can give each window once.

    Parameters
    ----------
    manifest : Manifest
        What the dataset holds.
    window : WindowOptions
        The windows, and how many all workers together take at a time.
    workers : int
        How many there are.
    dealt : bool
        Whether each worker gets shards of its own, instead of all of them.
    shuffled : bool
        Whether shards come in an order of their own, another in each epoch.

    Raises
    ------
    OptionError
        If they cannot.
    """
    if window.min_observed:
        raise OptionError(
            "min_observed must be 0 for a stream (Pipe mode), whose cells are not known"
            f" before they come, got {window.min_observed:g}; use the FastFile or File"
            " mode"
        )
    if workers > window.batch_size:
        raise OptionError(
            f"a batch must have a window for each of {workers} workers, but has"
            f" {window.batch_size}; take larger batches or fewer workers"
        )
    least = window.size - 1
    if (dealt or shuffled) and manifest.shard.halo < least:
        raise OptionError(
            f"shards that are dealt out or shuffled must carry a halo of at least"
            f" {least} rows for windows of {window.size}, but carry"
            f" {manifest.shard.halo}; convert with --halo {least}"
        )
    if shuffled and not dealt and workers > 1:
        raise OptionError(
            f"{workers} workers that read the same shards must get them in the same"
            " order, but they come shuffled; give each worker shards of its own"
            " (ShardedByS3Key), or do not shuffle them"
        )
