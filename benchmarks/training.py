#!/usr/bin/env python3
"""Measure how long training waits for its input.

::

    python benchmarks/training.py --json training.json

The default autoencoder is fitted by Keras, as ``echoanom train`` does it, to batches of
32 windows of 64 rows of simulated days of an echosounder. In turns it is given

- one batch that is held in memory, again and again;
- echoanom's pipeline: shuffled, stride 1, normalised, with the mask of observed cells;
- the tutorial's generator, which reads the daily tables anew for each batch.

The stall is the share of a step that a batch in memory would save: 1 − time with the
batch in memory / time with the input, both of the same turn. The first step of a turn
builds iterators and is not timed. Where every core computes, input can hide nowhere: so
its processor time is measured, too, with the pipeline alone, as a share of a step's.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import measuring
import numpy as np
from peers import with_pandas
from peers.task import BATCH, CASES, WINDOW, Data

CASE = CASES["shuffled stride 1"]
MEMORY = "batch in memory"
TUTORIAL = "the tutorial's generator"
COLUMNS = {
    "input": "input",
    "steps": "steps",
    "s_per_step": "s/step",
    "cpu_s_per_step": "CPU s/step",
    "windows_per_s": "windows/s",
    "stall": "stall",
    "cpu_stall": "of CPU",
}


def build_model(columns: int) -> Any:
    """Build and compile the network as `echoanom.fitting` does.

    Parameters
    ----------
    columns : int
        Columns of a window.

    Returns
    -------
    MaskedAutoencoder
        With random weights.
    """
    import keras
    import tensorflow as tf

    from echoanom.autoencoder import build_autoencoder
    from echoanom.modeloptions import TrainOptions

    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    model = build_autoencoder(WINDOW, columns)
    model.compile(optimizer=keras.optimizers.Adam(TrainOptions().learning_rate))
    return model


def stream(data: Data) -> Any:
    """Stream batches as `echoanom.fitting` does.

    Parameters
    ----------
    data : Data
        What to read.

    Returns
    -------
    tf.data.Dataset
        Windows and which of their cells were observed, without end.
    """
    from echoanom.pipeline import windows

    batches = windows(
        data.dataset(),
        CASE.options,
        normalization=data.normalization,
        epochs=2**20,
        fields=("values", "observed"),
    )
    return batches.map(lambda batch: (batch["values"], batch["observed"]))


def read_tables(data: Data) -> Iterator[tuple[Any, Any]]:
    """Read batches the tutorial's way.

    Parameters
    ----------
    data : Data
        What to read.

    Yields
    ------
    values : ndarray of float32, shape (B, T, C)
        Windows.
    observed : ndarray of bool, shape (B, T, C)
        All True: the tutorial knows of no missing cells.
    """
    for values in with_pandas.batches(data, CASE, ""):
        yield values, np.ones(values.shape, dtype=np.bool_)


def fit(model: Any, batches: Any, steps: int) -> measuring.Figures:
    """Train for some steps, and time all but the first.

    Parameters
    ----------
    model : keras.Model
        Is trained.
    batches : tf.data.Dataset or iterator
        Its input.
    steps : int
        How many are timed.

    Returns
    -------
    dict
        Time and processor time of a step [s].
    """
    import keras

    ends: list[tuple[float, float]] = []

    def end(batch: int, logs: Any) -> None:
        # Waits for the step's end: the loss is a number by then.
        float(logs["loss"])
        ends.append((time.perf_counter(), time.process_time()))

    model.fit(
        batches,
        steps_per_epoch=steps + 1,
        shuffle=False,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=end)],
    )
    return {
        name: (last - first) / steps
        for name, first, last in zip(
            ("s_per_step", "cpu_s_per_step"), ends[0], ends[-1], strict=True
        )
    }


def measure_input(data: Data, batches: int) -> measuring.Figures:
    """Run the pipeline alone.

    Parameters
    ----------
    data : Data
        What to read.
    batches : int
        How many are timed, after as many that are not.

    Returns
    -------
    dict
        Time and processor time of a batch [s].
    """
    iterator = iter(stream(data))
    for _ in itertools.islice(iterator, batches):
        pass
    start, cpu = time.perf_counter(), time.process_time()
    for _ in itertools.islice(iterator, batches):
        pass
    return {
        "s_per_batch": (time.perf_counter() - start) / batches,
        "cpu_s_per_batch": (time.process_time() - cpu) / batches,
    }


def compare(
    data: Data, columns: int, repeats: int, steps: dict[str, int]
) -> list[measuring.Figures]:
    """Train with each input, in turns.

    Parameters
    ----------
    data : Data
        What to read.
    columns : int
        Columns of a window.
    repeats : int
        Turns.
    steps : dict of str to int
        Steps of a turn, by input.

    Returns
    -------
    list of dict
        One each input.
    """
    import tensorflow as tf

    model = build_model(columns)
    pipeline = stream(data)
    values, observed = next(iter(pipeline))
    # A copy of its own: the pipeline takes its batches' memory back.
    held = tf.identity(values), tf.constant(observed.numpy())
    batches = {
        MEMORY: lambda: tf.data.Dataset.from_tensors(held).repeat(),
        "echoanom": lambda: pipeline,
        TUTORIAL: lambda: read_tables(data),
    }
    figures: dict[str, list[measuring.Figures]] = {name: [] for name in steps}

    def turn(name: str) -> float:
        figures[name].append(fit(model, batches[name](), steps[name]))
        return float(figures[name][-1]["s_per_step"])

    measuring.in_turns({name: lambda n=name: turn(n) for name in steps}, repeats)
    counted = {name: found[1:] for name, found in figures.items()}

    def stalls(name: str, key: str) -> list[float]:
        pairs = zip(counted[MEMORY], counted[name], strict=True)
        return [1 - memory[key] / own[key] for memory, own in pairs]

    lines = []
    for name, found in counted.items():
        line: measuring.Figures = {"input": name, "steps": steps[name]}
        for key in ("s_per_step", "cpu_s_per_step"):
            line[key] = statistics.median(one[key] for one in found)
        line["windows_per_s"] = BATCH / line["s_per_step"]
        if name != MEMORY:
            line["stalls"] = stalls(name, "s_per_step")
            line["stall"] = statistics.median(line["stalls"])
            line["cpu_stall"] = statistics.median(stalls(name, "cpu_s_per_step"))
        lines.append(line)
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and write JSON.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process if left out.

    Returns
    -------
    int
        0.
    """
    parser = measuring.parser(__doc__, repeats=9, keep=True)
    parser.add_argument("--days", type=int, default=4)
    parser.add_argument("--columns", type=int, default=1600)
    parser.add_argument("--steps", type=int, default=4, help="timed in a turn")
    parser.add_argument("--tutorial-steps", type=int, default=1, help="the same")
    parser.add_argument("--input-batches", type=int, default=100)
    options = parser.parse_args(arguments)
    if options.toy:
        options.days, options.columns, options.steps = 1, 16, 2
        options.repeats, options.input_batches = 1, 4
    steps = {
        MEMORY: options.steps,
        "echoanom": options.steps,
        TUTORIAL: options.tutorial_steps,
    }
    with contextlib.ExitStack() as stack:
        folder = options.keep or stack.enter_context(tempfile.TemporaryDirectory())
        data = Data.make(folder, options.days, options.columns)
        alone = measure_input(data, options.input_batches)
        lines = compare(data, options.columns, options.repeats, steps)
    alone["share_of_step_cpu"] = alone["cpu_s_per_batch"] / lines[0]["cpu_s_per_step"]
    measuring.print_table(
        f"Training: batches of {BATCH} windows of {WINDOW} x {options.columns}",
        COLUMNS,
        lines,
    )
    print(
        f"the input alone: {1e3 * alone['s_per_batch']:.1f} ms a batch,"
        f" {1e3 * alone['cpu_s_per_batch']:.1f} ms of processor time,"
        f" {alone['share_of_step_cpu']:.2%} of a step's"
    )
    results = {
        "machine": measuring.machine("tensorflow", "keras"),
        "settings": {
            key: getattr(options, key)
            for key in ("days", "columns", "steps", "repeats", "input_batches")
        },
        "results": lines,
        "input_alone": alone,
    }
    measuring.write_json(options.json, "training", results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
