"""Mistakes in how data are read, filled, scaled and averaged, and what they cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
import tutorial_way
from numpy.typing import NDArray
from tutorial_record import SENSOR, Cost, Record

from echoanom.averaging import average
from echoanom.filling import fill_gaps
from echoanom.normalization import fit_normalization
from echoanom.options import WindowOptions
from echoanom.pipeline import batches_per_epoch, windows
from echoanom.reader import IndexedReader
from echoanom.windowing import WindowIndex, select

_SIZE = 64
_BATCH = 32
_MOST_BATCHES = 8
_EPOCHS = 50
_REPEATS = 3
_PERIOD_S = 60
_PINGS = 15
_MOST_MINUTES = 500
_EVERY_MIN = 10

Floats = NDArray[np.floating]


def rereads_tables(record: Record) -> Cost:
    """Compare the time for a batch of 32 windows of 64 echosounder rows.

    The tutorial's generator reads the CSVs a batch touches; `pipeline.windows` gathers
    from the dataset, its first reading, check and normalisation included.
    """
    tables = tutorial_way.daily_tables(record.source, SENSOR)
    batches = tutorial_way.CsvBatches(tables, _SIZE, _BATCH)
    taken = min(len(batches), _MOST_BATCHES)
    tutorial = _fastest(lambda: [batches[index] for index in range(taken)]) / taken

    options = WindowOptions(_SIZE, stride=_SIZE, batch_size=_BATCH, shuffle=True)
    normalization = fit_normalization(record.alone.statistics(), "range")
    count = _EPOCHS * batches_per_epoch(record.alone, options)

    def read_all() -> None:
        for _ in windows(
            record.alone, options, normalization=normalization, epochs=_EPOCHS
        ):
            pass

    ours = _fastest(read_all) / count
    return Cost(
        "re-reads whole CSVs for every batch",
        f"time for a batch of {_BATCH} windows of {_SIZE} rows",
        "ms",
        1e3 * tutorial,
        1e3 * ours,
        f"over {taken} batches of CSVs and {count} of shards, the start included, the"
        f" fastest of {_REPEATS} times: {tutorial / ours:.0f} times faster, and"
        " shuffled",
    )


def _fastest(work: Callable[[], object]) -> float:
    """Return the least time that some work takes [s]; what disturbs it adds time."""
    times = []
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def fills_with_the_loudest(record: Record) -> Cost:
    """Compare the level that stands in for missing cells with the column's usual one.

    Of all missing cells of the echosounder: distance from the mean of their column, in
    its standard deviations.
    """
    table = tutorial_way.read_sensor(record.source, SENSOR).to_numpy()
    statistics = record.alone.statistics()
    column = np.nonzero(np.isnan(table))[1]
    tutorial = (0.0 - statistics.mean[column]) / statistics.std[column]

    normalization = fit_normalization(statistics, "range")
    values, observed = IndexedReader(record.alone, normalization).rows(0, len(table))
    filled = normalization.invert(values)
    ours = ((filled - statistics.mean) / statistics.std)[~observed]
    return Cost(
        "fills missing dB with 0",
        "mean level of the filled cells above the column's mean",
        "std",
        float(tutorial.mean()),
        float(np.abs(ours).mean()),
        f"of {len(column):,} missing cells; 0 dB is {-np.nanmax(table):.0f} dB above"
        " the loudest cell that was measured",
    )


def scales_by_batch(record: Record) -> Cost:
    """Compare how the same cell is scaled in training and in inference.

    The tutorial divides by the maximum of 8,192 rows in training and of 8 rows in
    inference. Ours are the windows of two streams with one normalisation.
    """
    table = tutorial_way.read_sensor(record.source, SENSOR).to_numpy()
    table = table[: tutorial_way.TRAINING_ROWS]
    count = len(table) // tutorial_way.INFERENCE_ROWS
    table = table[: count * tutorial_way.INFERENCE_ROWS]
    trained = tutorial_way.fill_and_scale(table)
    parts = np.split(table, count)
    inferred = np.concatenate([tutorial_way.fill_and_scale(part) for part in parts])
    moved = np.where(np.isnan(table), np.nan, np.abs(inferred - trained))
    spread = np.nanstd(np.where(np.isnan(table), np.nan, trained), axis=0)

    statistics = record.alone.statistics()
    normalization = fit_normalization(statistics, "range")
    start = int(record.alone.runs.start_s[0])
    times = [(start, start + _PERIOD_S * tutorial_way.TRAINING_ROWS)]
    streams = [
        windows(
            record.alone,
            WindowOptions(size, stride=size, batch_size=batch),
            runs=select(record.alone.runs, _PERIOD_S, times),
            normalization=normalization,
        )
        for size, batch in ((_SIZE, 128), (tutorial_way.INFERENCE_ROWS, 1))
    ]
    large, small = (dict(_rows_by_time(stream)) for stream in streams)
    both = sorted(large.keys() & small.keys())
    ours = np.abs(
        np.stack([large[t] for t in both]) - np.stack([small[t] for t in both])
    )
    return Cost(
        "scales each batch by its own maximum",
        "largest shift of one cell between training and inference",
        "std",
        float(np.nanmax(moved / spread)),
        float((ours.max(axis=0) * normalization.scale / statistics.std).max()),
        f"{np.nanmean(moved / spread):.1f} std on average, from the maximum of"
        f" {len(table):,} rows to that of 8 (the tutorial trains on batches of"
        f" {tutorial_way.TRAINING_ROWS:,})",
    )


def _rows_by_time(stream: tf.data.Dataset) -> Iterator[tuple[int, Floats]]:
    for batch in stream.as_numpy_iterator():
        size = batch["values"].shape[1]
        times = batch["start"][:, None] + _PERIOD_S * np.arange(size)
        rows = batch["values"].reshape(times.size, -1)
        yield from zip(times.ravel().tolist(), rows, strict=True)


def divides_by_zero(record: Record) -> Cost:
    """Count the cells that turn into NaN on their way into the model.

    Windows of 8 rows of all sensors joined. Where a sensor is silent for 8 minutes, its
    columns are filled with 0 and divided by their maximum, 0.
    """
    table = tutorial_way.join_sensors(record.source).to_numpy()
    count = len(table) // tutorial_way.INFERENCE_ROWS
    parts = np.split(table[: count * tutorial_way.INFERENCE_ROWS], count)
    broken = [np.isnan(tutorial_way.fill_and_scale(part)).sum() for part in parts]

    size = tutorial_way.INFERENCE_ROWS
    options = WindowOptions(size, stride=size, batch_size=64)
    stream = windows(
        record.joined, options, normalization=record.artifact.normalization
    )
    ours = sum(
        int(np.isnan(batch["values"]).sum()) for batch in stream.as_numpy_iterator()
    )
    return Cost(
        "divides silent columns by zero",
        "cells that become NaN",
        "cells",
        float(sum(broken)),
        float(ours),
        f"{np.count_nonzero(broken):,} of {count:,} windows of 8 rows have one, and a"
        " single one makes the reconstruction and the score of its window NaN",
    )


def crosses_gaps(record: Record) -> Cost:
    """Compare how many windows of 64 echosounder rows contain a gap in time.

    All windows, one starting at each row.
    """
    theirs, ours = _longest_steps(record)
    period_min = _PERIOD_S / 60
    return Cost(
        "lets windows cross gaps",
        f"windows of {_SIZE} rows that contain a gap",
        "%",
        100 * float(np.mean(theirs > period_min)),
        100 * float(np.mean(ours > period_min)),
        f"{np.count_nonzero(theirs > period_min):,} of its {len(theirs):,} windows show"
        f" the model a jump that the sensor did not see, and"
        f" {np.count_nonzero(ours > period_min):,} of our {len(ours):,}",
    )


def jumps_in_windows(record: Record) -> Cost:
    """Compare the longest time between neighbouring rows of a window of 64.

    Of all windows of the echosounder, one starting at each row.
    """
    theirs, ours = _longest_steps(record)
    stamps = tutorial_way.read_sensor(record.source, SENSOR).index.to_numpy()
    spans = (stamps[_SIZE - 1 :] - stamps[: 1 - _SIZE]) / np.timedelta64(1, "m")
    return Cost(
        "takes neighbours for neighbouring minutes",
        "longest time from one row of a window to the next",
        "min",
        float(theirs.max()),
        float(ours.max()),
        f"{_SIZE} rows of the tutorial's span up to {spans.max() + 1:,.0f} min",
    )


def _longest_steps(record: Record) -> tuple[Floats, Floats]:
    """Return the longest step inside each window [min], the tutorial's and ours."""
    stamps = tutorial_way.read_sensor(record.source, SENSOR).index
    steps = np.diff(stamps.to_numpy()) / np.timedelta64(1, "m")
    theirs = np.lib.stride_tricks.sliding_window_view(steps, _SIZE - 1).max(axis=1)
    dataset = record.alone
    index = WindowIndex(dataset.runs, WindowOptions(_SIZE))
    first = index.first_rows(np.arange(len(index)))
    inside = dataset.times()[first[:, None] + np.arange(_SIZE)]
    return theirs, np.diff(inside, axis=1).max(axis=1) / 60


def averages_decibels(record: Record) -> Cost:
    """Compare the level of a minute, averaged over its pings, with the true one.

    The CSVs hold minutes, not pings. So the true level is that of a minute and bin, and
    15 pings are drawn around it as an echosounder receives them from many scatterers:
    with exponentially distributed intensity (Rayleigh amplitude).
    """
    table = tutorial_way.read_sensor(record.source, SENSOR).to_numpy()
    true = table[~np.isnan(table).any(axis=1)][:_MOST_MINUTES]
    intensity = np.random.default_rng(0).exponential(size=(_PINGS, *true.shape))
    pings = true + 10 * np.log10(intensity)
    tutorial = pings.mean(axis=0) - true
    ours = average(pings, np.ones((_PINGS, 1, 1)), "level") - true
    return Cost(
        "averages dB as plain numbers",
        f"error of the mean of {_PINGS} pings, over all minutes and bins",
        "dB",
        abs(float(tutorial.mean())),
        abs(float(ours.mean())),
        f"of {true.size:,} minutes and bins; the tutorial loses"
        f" {100 * (1 - 10 ** (tutorial.mean() / 10)):.0f} % of the intensity, and what"
        f" is left of ours comes from {_PINGS} pings being few",
    )


def interpolates_angles(record: Record) -> Cost:
    """Compare interpolated directions with measured ones where they pass north.

    Of the current directions of the ADCP every tenth minute is kept, the nine between
    are interpolated, and held against what was measured. Counted are stretches whose
    ends lie more than 180 degrees apart as numbers: there the short way leads over
    north.
    """
    columns = [c for c in record.joined.columns if c.kind == "direction"]
    table = tutorial_way.read_sensor(record.source, "adcp")
    angles = table[[column.name for column in columns]]
    measured = angles.resample("1min").mean().to_numpy(dtype=np.float32)
    thinned = measured.copy()
    thinned[np.arange(len(measured)) % _EVERY_MIN != 0] = np.nan
    minutes = np.arange(len(measured))
    tutorial = np.empty_like(measured)
    for column, values in enumerate(thinned.T):
        known = ~np.isnan(values)
        tutorial[:, column] = np.interp(minutes, minutes[known], values[known])
    ours, filled = thinned.copy(), np.zeros(thinned.shape, dtype=np.bool_)
    fill_gaps(ours, filled, columns, _EVERY_MIN - 1)

    ends = thinned[::_EVERY_MIN]
    over_north = np.repeat(np.abs(np.diff(ends, axis=0)) > 180, _EVERY_MIN, axis=0)
    counted = filled[: len(over_north)] & over_north
    counted &= ~np.isnan(measured[: len(over_north)])
    errors = [
        np.abs((found - measured + 180) % 360 - 180)[: len(over_north)][counted]
        for found in (tutorial, ours)
    ]
    return Cost(
        "interpolates directions as numbers",
        "mean error of interpolated directions across north",
        "°",
        float(errors[0].mean()),
        float(errors[1].mean()),
        f"of {counted.sum():,} directions, {_EVERY_MIN - 1} between two known ones:"
        " half-way from 350° to 10° is 0°, not 180°",
    )
