#!/usr/bin/env python3
"""Measure how long a GPU waits for windows, with Keras on JAX.

::

    python benchmarks/gpu.py --json gpu.json

Batches of 32 windows of 64 rows of simulated days of an echosounder, shuffled, stride 1,
normalised, with the mask of observed cells, reach Keras as `WindowDataset` brings them.
First the windows that come back from the device must be those asked for, bit for bit, and
the loss of the default autoencoder must fall. Then two networks, that autoencoder and one
that computes next to nothing, are fitted in turns to

- one batch that lies on the device already;
- the same batch in the host's memory, which Keras uploads for each step;
- echoanom's batches, read by one thread or several.

The stall is the share of a step that a batch in memory would save, and *over device* the
same for one on the device: 1 − time with the held batch / time with the input, both of
the same turn. Steps are not waited for one by one, as `fit` does not wait; the clock runs
from the end of a step behind those that may have been read ahead to the end of the last.

Then batches are only read, by as many threads, and held against a loop that copies the
same windows from an array in memory into fresh batches. Runs on a CPU as well, if JAX
finds no other device. TensorFlow is not needed.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import measuring
import numpy as np
from peers.task import BATCH, CASES, WINDOW, Data, copy_windows

from echoanom.batching import WindowBatches

CASE = CASES["shuffled stride 1"]
AUTOENCODER, SMALL = "autoencoder", "two small layers"
DEVICE, MEMORY = "batch on the device", "batch in memory"
AHEAD = 8  # batches
COLUMNS = {
    "model": "model",
    "input": "input",
    "ms_per_step": "ms/step",
    "windows_per_s": "windows/s",
    "stall": "stall",
    "over_device": "over device",
}
READER_COLUMNS = {
    "threads": "threads",
    "copy_per_s": "copy limit",
    "scratch_per_s": "rows in a scratch file",
    "scratch_ratio": "of limit",
    "memory_per_s": "rows in memory",
    "memory_ratio": "of limit",
}


def build_model(kind: str, columns: int) -> Any:
    """Build and compile a network with the loss of the default autoencoder.

    Parameters
    ----------
    kind : {'autoencoder', 'two small layers'}
        Which.
    columns : int
        Columns of a window.

    Returns
    -------
    MaskedAutoencoder
        With random weights, always the same.
    """
    import keras

    from echoanom.autoencoder import MaskedAutoencoder, build_autoencoder
    from echoanom.modeloptions import TrainOptions

    keras.utils.set_random_seed(0)
    if kind == AUTOENCODER:
        model = build_autoencoder(WINDOW, columns)
    else:
        inputs = keras.Input((WINDOW, columns))
        narrow = keras.layers.Dense(8)(inputs)
        model = MaskedAutoencoder(inputs, keras.layers.Dense(columns)(narrow))
    model.compile(optimizer=keras.optimizers.Adam(TrainOptions().learning_rate))
    return model


def window_batches(data: Data, fields: Sequence[str], **options: Any) -> WindowBatches:
    """Open the windows that are measured.

    Parameters
    ----------
    data : Data
        What to read.
    fields : sequence of str
        What a batch has.
    **options : object
        Further options of `WindowBatches`.

    Returns
    -------
    WindowBatches
        Shuffled, stride 1, normalised.
    """
    return WindowBatches(
        data.dataset(),
        CASE.options,
        normalization=data.normalization,
        fields=fields,
        **options,
    )


def held(batch: tuple[Any, Any]) -> Any:
    """Give Keras the same batch again and again.

    Parameters
    ----------
    batch : tuple
        Values and which were observed, in host memory or on the device.

    Returns
    -------
    keras.utils.PyDataset
        Without end.
    """
    import keras

    class Held(keras.utils.PyDataset):  # type: ignore[misc]
        @property
        def num_batches(self) -> None:
            return None

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            return batch

    return Held()


def check_windows(data: Data, batches: WindowBatches, count: int) -> int:
    """Send windows through the device, and see whether they come back as they should.

    Parameters
    ----------
    data : Data
        Says what they are.
    batches : WindowBatches
        What is read.
    count : int
        Batches.

    Returns
    -------
    int
        Windows that were right.

    Raises
    ------
    RuntimeError
        If a batch is not the wanted one, bit for bit.
    """
    import keras

    from echoanom.pydataset import WindowDataset

    shape = (WINDOW, batches.columns)
    same = keras.Sequential([keras.Input(shape), keras.layers.Identity()])
    found = same.predict(WindowDataset(batches), steps=count, verbose=0)
    rows, index, done = data.normalised(), data.index(CASE), 0
    for position in range(count):
        wanted = copy_windows(rows, index.batch(position))
        if not np.array_equal(found[done : done + len(wanted)], wanted):
            raise RuntimeError(f"batch {position} is not the wanted one")
        done += len(wanted)
    return done


def losses(data: Data, batches: WindowBatches, epochs: int, steps: int) -> list[float]:
    """Train the default autoencoder.

    Parameters
    ----------
    data : Data
        Not changed.
    batches : WindowBatches
        What it is trained on.
    epochs, steps : int
        How long: so many times so many batches.

    Returns
    -------
    list of float
        Mean loss of each epoch.

    Raises
    ------
    RuntimeError
        If the loss does not fall.
    """
    from echoanom.pydataset import WindowDataset

    model = build_model(AUTOENCODER, len(data.dataset().columns))
    history = model.fit(
        WindowDataset(batches),
        steps_per_epoch=steps,
        epochs=epochs,
        shuffle=False,
        verbose=0,
    )
    found: list[float] = [float(loss) for loss in history.history["loss"]]
    if not found[-1] < found[0]:
        raise RuntimeError(f"the loss must fall, but went {found}")
    return found


def fit(model: Any, batches: Any, steps: int) -> float:
    """Train for some steps, and time those behind what was read ahead.

    Parameters
    ----------
    model : keras.Model
        Is trained.
    batches : keras.utils.PyDataset
        Its input.
    steps : int
        How many are timed.

    Returns
    -------
    float
        Time of a step [s].
    """
    import keras

    ends: dict[int, float] = {}

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        # Called by threads that wait for a step's loss, while `fit` goes on.
        async_safe = True

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            ends[batch] = time.perf_counter()

    before = AHEAD + 2  # Keras holds one more, and one is under way
    model.fit(
        batches,
        steps_per_epoch=before + steps,
        shuffle=False,
        verbose=0,
        callbacks=[Clock()],
    )
    return (ends[before + steps - 1] - ends[before - 1]) / steps


def compare(
    kind: str, batches: WindowBatches, threads: Sequence[int], steps: int, repeats: int
) -> list[measuring.Figures]:
    """Train a network with each input, in turns.

    Parameters
    ----------
    kind : str
        The network.
    batches : WindowBatches
        What is read.
    threads : sequence of int
        How many read.
    steps : int
        Timed steps of a turn.
    repeats : int
        Turns.

    Returns
    -------
    list of dict
        One each input.
    """
    import jax

    from echoanom.pydataset import WindowDataset

    model = build_model(kind, batches.columns)
    fields = batches.read(0)
    # Copies of its own: the memory of a batch is used again.
    batch = (fields["values"].copy(), fields["observed"].copy())
    on_device = jax.block_until_ready(jax.device_put(batch))
    inputs: dict[str, Callable[[], Any]] = {
        DEVICE: lambda: held(on_device),
        MEMORY: lambda: held(batch),
    }
    for count in threads:
        name = f"echoanom, {count} thread{'s' if count > 1 else ''}"
        inputs[name] = lambda n=count: WindowDataset(batches, ahead=AHEAD, threads=n)
    found = measuring.in_turns(
        {
            name: lambda make=make: fit(model, make(), steps)
            for name, make in inputs.items()
        },
        repeats,
    )
    lines = []
    for name, seconds in found.items():
        line: measuring.Figures = {"model": kind, "input": name}
        line["s_per_step"] = statistics.median(seconds)
        line["ms_per_step"] = 1e3 * line["s_per_step"]
        line["windows_per_s"] = BATCH / line["s_per_step"]
        for key, limit in (("stall", MEMORY), ("over_device", DEVICE)):
            if name not in (DEVICE, limit):
                stalls = [1 - a / b for a, b in zip(found[limit], seconds, strict=True)]
                line[f"{key}s"] = stalls
                line[key] = statistics.median(stalls)
        lines.append(line)
    return lines


def compare_reading(
    data: Data, threads: Sequence[int], count: int, repeats: int
) -> list[measuring.Figures]:
    """Read batches and do nothing with them, in turns with plain copies.

    Parameters
    ----------
    data : Data
        What to read.
    threads : sequence of int
        How many read, or copy.
    count : int
        Batches of a turn.
    repeats : int
        Turns.

    Returns
    -------
    list of dict
        One each number of threads.
    """
    rows, index = data.normalised(), data.index(CASE)
    scratch = window_batches(data, ("values",), memory_bytes=0)
    memory = window_batches(data, ("values",), memory_bytes=2 * rows.nbytes)
    ways: dict[str, Callable[[int], object]] = {
        "copy": lambda position: copy_windows(rows, index.batch(position)),
        "scratch": scratch.read,
        "memory": memory.read,
    }

    def rate(read: Callable[[int], object], pool: Any) -> float:
        start = time.perf_counter()
        # A batch is dropped where it was read, as no thread waits for it.
        windows = sum(
            pool.map(lambda p: [read(p)] and len(index.batch(p)), range(count))
        )
        return float(windows / (time.perf_counter() - start))

    lines = []
    for number in threads:
        with concurrent.futures.ThreadPoolExecutor(number) as pool:
            found = measuring.in_turns(
                {way: lambda r=read: rate(r, pool) for way, read in ways.items()},
                repeats,
            )
        line: measuring.Figures = {"threads": number}
        for way, rates in found.items():
            line[f"{way}_per_s"] = statistics.median(rates)
            if way != "copy":
                line[f"{way}_ratio"] = measuring.median_ratio(rates, found["copy"])
        lines.append(line)
    return lines


def upload(batches: WindowBatches, repeats: int) -> measuring.Figures:
    """Time how long a batch travels to the device.

    Parameters
    ----------
    batches : WindowBatches
        Has it.
    repeats : int
        How often it is sent.

    Returns
    -------
    dict
        Size of the batch [10⁶ byte], median time [s] and speed [10⁶ byte/s].
    """
    import jax

    batch = tuple(batches.read(0).values())
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        jax.block_until_ready(jax.device_put(batch))
        seconds.append(time.perf_counter() - start)
    megabytes = sum(part.nbytes for part in batch) / 1e6
    median = statistics.median(seconds[1:])
    return {"mb": megabytes, "s": median, "mb_per_s": megabytes / median}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print tables, and write JSON.

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
    parser.add_argument("--days", type=int, default=8)
    parser.add_argument("--columns", type=int, default=1600)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--steps", type=int, default=100, help="timed in a turn")
    options = parser.parse_args(arguments)
    if options.toy:
        options.days, options.columns, options.threads = 1, 16, [1, 2]
        options.steps, options.repeats = 8, 1
    os.environ["KERAS_BACKEND"] = "jax"
    import jax

    device = jax.devices()[0]
    with contextlib.ExitStack() as stack:
        folder = options.keep or stack.enter_context(tempfile.TemporaryDirectory())
        data = Data.make(folder, options.days, options.columns)
        batches = window_batches(data, ("values", "observed"))
        results: measuring.Figures = {
            "checked_windows": check_windows(data, batches, options.steps),
            "losses": losses(data, batches, 3, options.steps),
            "upload": upload(batches, 3 * options.repeats),
            "results": [
                line
                for kind in (AUTOENCODER, SMALL)
                for line in compare(
                    kind, batches, options.threads, options.steps, options.repeats
                )
            ],
            "reader": compare_reading(
                data, options.threads, options.steps, options.repeats
            ),
            "tensorflow_loaded": "tensorflow" in sys.modules,
        }
    about = f"{device.device_kind} ({device.platform})"
    shape = f"batches of {BATCH} windows of {WINDOW} x {options.columns}"
    measuring.print_table(f"Training on {about}: {shape}", COLUMNS, results["results"])
    measuring.print_table("Reading alone, windows/s", READER_COLUMNS, results["reader"])
    sent = results["upload"]
    print(
        f"windows checked: {results['checked_windows']:,}; losses:"
        f" {', '.join(f'{loss:.4g}' for loss in results['losses'])}; upload:"
        f" {sent['mb']:.1f} MB in {1e3 * sent['s']:.2f} ms"
    )
    settings = ("days", "columns", "threads", "steps", "repeats")
    measuring.write_json(
        options.json,
        "gpu",
        {
            "machine": {
                **measuring.machine("jax", "jaxlib", "keras"),
                "device": device.device_kind,
                "platform": device.platform,
            },
            "settings": {key: getattr(options, key) for key in settings},
            **results,
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
