"""Mistakes in how a model is trained, judged and called, and what they cost."""

from __future__ import annotations

import os
import time

import keras
import numpy as np
import tensorflow as tf
import tutorial_way
from numpy.typing import NDArray
from tutorial_record import SENSOR, Cost, Record

from echoanom.autoencoder import build_autoencoder, cell_errors, mean_over_observed
from echoanom.holdout import training_statistics
from echoanom.manifest import RunTable
from echoanom.normalization import Normalization, fit_normalization
from echoanom.options import DAY_S, WindowOptions
from echoanom.pipeline import windows
from echoanom.scoring import score
from echoanom.stamps import day_start
from echoanom.windowing import select

_CALLS = 32
_BLANKED = 0.01

Floats = NDArray[np.floating]


def counts_what_is_missing(record: Record) -> Cost:
    """Compare how far a window's error moves when 1 % of its cells go missing.

    Both with our model and windows of the held-back days, of which every hundredth
    observed echosounder cell is blanked: once 0 dB takes its place and counts as
    measured, once it is filled and masked as in training and scoring.
    """
    _, held_back = record.trained()
    model, normalization = record.artifact.model, record.artifact.normalization
    size = record.artifact.window.size
    options = WindowOptions(size, stride=size, batch_size=16)
    stream = windows(record.joined, options, runs=held_back)
    raw = next(iter(stream.take(1)))
    values, observed = raw["values"].numpy(), raw["observed"].numpy()
    chosen = np.random.default_rng(0).random(values.shape) < _BLANKED
    blanked = chosen & observed & record.of_sensor()

    def errors(values: Floats, observed: NDArray[np.bool_]) -> Floats:
        normalised = normalization.apply(values.astype(np.float32))
        found = cell_errors(normalised, observed, model(normalised, training=False))
        return np.asarray(mean_over_observed(found, observed, axis=(1, 2)))

    whole = errors(values, observed)
    zeroed = errors(np.where(blanked, 0.0, values), observed)
    masked = errors(np.where(blanked, np.nan, values), observed & ~blanked)
    tutorial, ours = (np.abs(moved / whole - 1).mean() for moved in (zeroed, masked))
    return Cost(
        "scores what it filled",
        "change of a window's error when 1 % of its echosounder cells go missing",
        "%",
        100 * float(tutorial),
        100 * float(ours),
        f"mean over {len(whole)} held-back windows of the same model: a gap looks like"
        " an anomaly unless what fills it is usual, and left out of the error",
    )


def asks_the_impossible(record: Record) -> Cost:
    """Compare the errors, in dB, that the scaling lets a sigmoid reach.

    The tutorial's values lie in [−1, 0] and its output in (0, 1): the best it can say
    is 0, always, and then its error is the value itself. Ours is not the best that can
    be reached, but what the trained model does reach on held-back days.
    """
    table = tutorial_way.read_sensor(record.source, SENSOR).to_numpy()
    table = table[: tutorial_way.TRAINING_ROWS]
    scaled = tutorial_way.fill_and_scale(table)
    best = np.clip(scaled, 0.0, 1.0)
    loudest = np.nanmax(np.abs(table), axis=0)
    error = np.where(np.isnan(table), np.nan, scaled - best)

    _, held_back = record.trained()
    size = record.artifact.window.size
    options = WindowOptions(size, stride=size, batch_size=8)
    squares, cells = 0.0, 0
    for batch in windows(record.joined, options, runs=held_back).as_numpy_iterator():
        difference = record.artifact.reconstruct(batch["values"]) - batch["values"]
        observed = batch["observed"] & record.of_sensor()
        squares += float(np.square(difference[observed], dtype=np.float64).sum())
        cells += int(observed.sum())
    return Cost(
        "asks a sigmoid for values in [−1, 0]",
        "error of the best possible reconstruction (ours: reached on held-back days)",
        "dB rms",
        float(np.sqrt(np.nanmean(np.square(error * loudest)))),
        float(np.sqrt(squares / cells)),
        f"its loss cannot fall below {np.nanmean(np.square(error)):.2f}, whatever it"
        " learns; what it calls an error is the level, squared",
    )


def validates_on_training_data(record: Record) -> Cost:
    """Compare validation losses of the same models on days they know and on new ones.

    The tutorial validates on the data it trained on, echoanom on days held back. Days
    differ, so two models are trained, one on odd days and one on even ones, and each is
    judged on both: every day counts once as known and once as new. What was planted is
    left out. Of the two numbers the tutorial's is the smaller one: that is the mistake.
    """
    halves = [
        select(
            record.joined.runs,
            record.joined.period_s,
            [
                (day_start(day), day_start(day) + DAY_S)
                for day in record.joined.days[i::2]
            ],
            record.artifact.record.exclude,
        )
        for i in (0, 1)
    ]
    seen, unseen = 0.0, 0.0
    for known, new in (halves, halves[::-1]):
        model, normalization = _fit(record, known)
        seen += _loss(record, model, normalization, known) / 2
        unseen += _loss(record, model, normalization, new) / 2
    return Cost(
        "validates on its training data",
        "validation loss (the second number is what new days cost)",
        "MSE",
        seen,
        unseen,
        f"of the same models; new days cost {unseen / seen:.1f} times what the tutorial"
        " would report, where overfitting does not show",
    )


def _fit(record: Record, runs: RunTable) -> tuple[keras.Model, Normalization]:
    """Train a network like the record's model on some runs alone."""
    artifact = record.artifact
    statistics = training_statistics(record.joined, runs)
    normalization = fit_normalization(statistics, artifact.training.normalization)
    stream = windows(
        record.joined,
        artifact.window,
        runs=runs,
        normalization=normalization,
        epochs=len(artifact.record.history),
    )
    keras.utils.set_random_seed(artifact.window.seed)
    model = build_autoencoder(
        artifact.window.size, len(artifact.columns), artifact.network
    )
    model.compile(optimizer=keras.optimizers.Adam(artifact.training.learning_rate))
    batches = stream.map(lambda batch: (batch["values"], batch["observed"]))
    model.fit(batches, shuffle=False, verbose=0)
    return model, normalization


def _loss(
    record: Record, model: keras.Model, normalization: Normalization, runs: RunTable
) -> float:
    """Return the mean squared error over the observed cells of some runs."""
    size = record.artifact.window.size
    options = WindowOptions(size, stride=size // 2, batch_size=16)
    squares, cells = 0.0, 0
    for batch in windows(
        record.joined, options, runs=runs, normalization=normalization
    ):
        values, observed = batch["values"], batch["observed"]
        errors = cell_errors(values, observed, model(values, training=False))
        squares += float(tf.reduce_sum(errors))
        cells += int(np.count_nonzero(observed))
    return squares / cells


def calls_for_each_window(record: Record) -> Cost:
    """Compare the time to score a day, one window at each of its minutes.

    The tutorial sends window after window to an endpoint, here a server in this process
    that answers with the model's reconstruction as JSON, as TensorFlow Serving would.
    Some calls are measured, after one to warm up, and extrapolated to the day.
    echoanom scores the whole day in one call, which is measured.
    """
    artifact = record.artifact
    size = artifact.window.size
    start = int(np.max(record.trained()[1].start_s)) // DAY_S * DAY_S
    day = [(start, start + DAY_S)]
    begin = time.perf_counter()
    table = score(record.joined, artifact, include=day)
    ours = time.perf_counter() - begin
    count = int(np.count_nonzero(~np.isnan(table.window_score)))

    saved = tf.saved_model.load(os.path.join(artifact.path, "saved_model", "1"))
    reconstruct = saved.signatures["windows"]
    rows = windows(record.joined, WindowOptions(size, batch_size=_CALLS))
    sent = np.nan_to_num(next(iter(rows.take(1)))["values"].numpy())
    with tutorial_way.endpoint(
        lambda values: reconstruct(values=values)["reconstruction"].numpy()
    ) as predict:
        predict(sent[:1])
        begin = time.perf_counter()
        for window in sent:
            np.square(window - predict(window[np.newaxis])).mean()
        a_call = (time.perf_counter() - begin) / len(sent)
    return Cost(
        "calls the endpoint once per window",
        "time to score a day",
        "s",
        a_call * count,
        ours,
        f"extrapolated from {len(sent)} calls of {1e3 * a_call:.0f} ms to the"
        f" {count:,} windows of the day, without a network between; ours is measured,"
        " and gives each column's share too",
    )
