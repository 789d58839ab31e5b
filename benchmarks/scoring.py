#!/usr/bin/env python3
"""Measure how fast a day is scored: echoanom, the bare model, and a call per window.

::

    python benchmarks/scoring.py --json scoring.json

A simulated day of an echosounder without gaps, every window of 64 rows (stride 1), the
default autoencoder with random weights. In one process, in turns:

- ``echoanom``: shards on disk to folded rows, model and dataset opened before;
- ``predict_on_batch``: the bare model on the same windows, each batch expanded in memory
  before the clock runs;
- ``predict``: the same, 256 windows at a time;
- ``SavedModel rows``: the exported model's signature on the rows of the day in memory.

The bare model has the batch size that is best for it, which short turns find before;
echoanom has its default. Last comes the tutorial's loop over the first ``--requests``
windows: one JSON request per window to a local HTTP server, a process of its own that
runs the exported model, answered with JSON as TensorFlow Serving's REST interface would.
Ratios are to ``predict_on_batch``; above 1 is faster. Those of the processor time hold on a
busy machine, too, as every way keeps all cores busy. Memory and the time to the first
result are those of processes of their own. All ways must find the same errors.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import functools
import http.client
import http.server
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import numpy.typing as npt

from echoanom.conversion import convert
from echoanom.dataset import open_dataset
from echoanom.manifest import RunTable
from echoanom.normalization import fit_normalization
from echoanom.options import StackOptions, WindowOptions
from echoanom.reader import IndexedReader
from echoanom.simulation import SimulationOptions, simulate
from echoanom.windowing import WindowIndex

WINDOW = 64
PREDICT_WINDOWS = 256
BATCH_SIZES = (1, 2, 5, 10, 20, 40)
TRIED_WINDOWS = 80
SENSOR = "echosounder"
BARE = "predict_on_batch"
COLUMNS = {
    "way": "way",
    "windows": "windows",
    "batch_size": "batch",
    "ms_per_window": "ms/window",
    "ratio": "of bare",
    "cpu_ms_per_window": "CPU ms",
    "cpu_ratio": "of bare",
    "first_s": "first [s]",
    "added_mb": "added [MB]",
}

Floats = npt.NDArray[np.float32]
Seconds = npt.NDArray[np.float64]
"""Time, and processor time of this process [s]."""
Measured = tuple[Seconds, Floats]
"""What it took, and the errors of the windows."""


class Day:
    """A day to score: its dataset, its windows and an untrained model.

    Parameters
    ----------
    folder : str
        Where it is, or is made.
    columns : int
        Columns of the day.
    rows : int
        How many of its first rows are used.
    """

    def __init__(self, folder: str, columns: int, rows: int) -> None:
        import keras

        from echoanom.autoencoder import build_autoencoder

        source, dataset = f"{folder}/source", f"{folder}/dataset"
        if not os.path.exists(dataset):
            simulated = SimulationOptions(
                1, bins=columns, anomalies=0, sensors=(SENSOR,), gap_rate=0.0
            )
            simulate(source, simulated)
            convert(source, dataset, stacking=StackOptions(sensors=(SENSOR,)))
        self.folder = folder
        self.dataset = open_dataset(dataset)
        whole = self.dataset.runs
        self.runs = RunTable(
            whole.first_row[:1], np.minimum(whole.rows[:1], rows), whole.start_s[:1]
        )
        self.windows = len(self.index(1))
        self.normalization = fit_normalization(self.dataset.statistics(), "range")
        keras.utils.set_random_seed(0)
        self.model = build_autoencoder(WINDOW, len(self.dataset.columns))

    def index(self, batch_size: int) -> WindowIndex:
        """Number the windows.

        Parameters
        ----------
        batch_size : int
            Windows in a batch.

        Returns
        -------
        WindowIndex
            In order of time.
        """
        return WindowIndex(self.runs, WindowOptions(WINDOW, 1, batch_size))

    @functools.cached_property
    def normalised(self) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """The rows as the model takes them, and which of their cells were observed."""
        reader = IndexedReader(self.dataset, self.normalization)
        return reader.rows(0, int(self.runs.rows[0]))

    @property
    def saved_model(self) -> str:
        """Folder of the exported model."""
        from echoanom.serving import export

        folder = f"{self.folder}/saved_model"
        if not os.path.exists(folder):
            export(self.model, self.normalization, folder)
        return folder

    def expand(self, first: int, count: int) -> Floats:
        """Copy windows out of the rows in memory.

        Parameters
        ----------
        first, count : int
            Which of them.

        Returns
        -------
        ndarray of float32, shape (count, T, C)
            The windows, normalised.
        """
        rows, _ = self.normalised
        return np.stack([rows[i : i + WINDOW] for i in range(first, first + count)])

    def errors(self, first: int, windows: Floats, reproduced: Floats) -> Floats:
        """Compute the errors of windows, off the clock.

        Parameters
        ----------
        first : int
            Number of the first.
        windows, reproduced : ndarray of float32, shape (B, T, C)
            What went into the model and what came out.

        Returns
        -------
        ndarray of float32, shape (B,)
            Mean squared errors of the observed cells.
        """
        _, observed = self.normalised
        seen = np.stack(
            [observed[i : i + WINDOW] for i in range(first, first + len(windows))]
        )
        squares = np.where(seen, (windows - reproduced) ** 2, 0.0)
        return squares.sum(axis=(1, 2)) / np.maximum(seen.sum(axis=(1, 2)), 1)


def clock() -> Seconds:
    """Tell the time.

    Returns
    -------
    ndarray of float64, shape (2,)
        Time, and processor time of this process [s].
    """
    return np.array([time.perf_counter(), time.process_time()])


def with_echoanom(
    day: Day, batch_size: int, windows: int, first: list[float] | None = None
) -> Measured:
    """Score windows: from shards to folded rows.

    Parameters
    ----------
    day : Day
        What to score.
    batch_size : int
        Windows that are scored at once.
    windows : int
        How many, from the first on.
    first : list of float, optional
        Takes the time when the first batch was done [s since the start].

    Returns
    -------
    ndarray of float64, shape (2,)
        Time and processor time [s].
    ndarray of float32, shape (windows,)
        Their errors.
    """
    from echoanom.detectors import detector
    from echoanom.scoring import score_runs

    runs = RunTable(
        day.runs.first_row, np.array([windows + WINDOW - 1]), day.runs.start_s
    )
    start = clock()

    def progress(stage: str, done: int, total: int) -> None:
        if done and first is not None and not first:
            first.append(float((clock() - start)[0]))

    rows = score_runs(
        day.dataset,
        runs,
        detector(day.model, WINDOW),
        day.normalization,
        WindowOptions(WINDOW, 1, batch_size),
        progress,
    )
    taken = clock() - start
    return taken, rows.window_score[:windows].astype(np.float32)


def with_model(
    day: Day,
    call: Callable[[Floats], Any],
    batch_size: int,
    windows: int,
    first: list[float] | None = None,
) -> Measured:
    """Call the model on windows that lie expanded in memory.

    Parameters
    ----------
    day : Day
        Has the windows.
    call : callable
        Takes a batch of windows, gives back their reconstructions.
    batch_size : int
        Windows in a batch.
    windows : int
        How many, from the first on.
    first : list of float, optional
        Takes the time that the first batch took [s].

    Returns
    -------
    ndarray of float64, shape (2,)
        Time and processor time inside of the calls [s].
    ndarray of float32, shape (windows,)
        Their errors.
    """
    taken, errors = np.zeros(2), []
    for begin in range(0, windows, batch_size):
        batch = day.expand(begin, min(batch_size, windows - begin))
        start = clock()
        reproduced = call(batch)
        taken += clock() - start
        errors.append(day.errors(begin, batch, reproduced))
        if first is not None and not first:
            first.append(float(taken[0]))
    return taken, np.concatenate(errors)


def with_saved_model(day: Day, rows_of: Any, windows: int) -> Measured:
    """Call the exported model's signature for rows.

    Parameters
    ----------
    day : Day
        Has the rows.
    rows_of : callable
        The signature.
    windows : int
        How many, from the first on.

    Returns
    -------
    ndarray of float64, shape (2,)
        Time and processor time [s].
    ndarray of float32, shape (windows,)
        Their errors.
    """
    import tensorflow as tf

    raw, _ = IndexedReader(day.dataset).rows(0, windows + WINDOW - 1)
    start = clock()
    errors = rows_of(values=tf.constant(raw))["error"].numpy()
    return clock() - start, errors


def serve(saved_model: str) -> None:
    """Answer requests for predictions, until standard input ends.

    Prints the port. Takes ``{"instances": [windows]}``, answers ``{"predictions":
    [{"reconstruction": …, "error": …}]}``.

    Parameters
    ----------
    saved_model : str
        Folder of the exported model.
    """
    import threading

    import tensorflow as tf

    windows_of = tf.saved_model.load(saved_model).signatures["windows"]

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps the connection open between windows
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            windows = np.array(json.loads(body)["instances"], dtype=np.float32)
            found = windows_of(values=tf.constant(windows))
            lines = [
                {"reconstruction": one.tolist(), "error": float(error)}
                for one, error in zip(
                    found["reconstruction"].numpy(), found["error"].numpy(), strict=True
                )
            ]
            answer = json.dumps({"predictions": lines}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    server.shutdown()


@contextlib.contextmanager
def endpoint(saved_model: str) -> Iterator[http.client.HTTPConnection]:
    """Run `serve` in a process of its own.

    Parameters
    ----------
    saved_model : str
        Folder of the exported model.

    Yields
    ------
    HTTPConnection
        To it.
    """
    command = [sys.executable, __file__, "--serve", saved_model]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        connection = http.client.HTTPConnection(
            "127.0.0.1", int(process.stdout.readline())
        )
        with contextlib.closing(connection):
            yield connection
        process.stdin.close()


def with_requests(
    day: Day, connection: http.client.HTTPConnection, windows: int
) -> Measured:
    """Send one request per window, as the tutorial does.

    Parameters
    ----------
    day : Day
        Has the windows.
    connection : HTTPConnection
        To the server.
    windows : int
        How many, from the first on.

    Returns
    -------
    ndarray of float64, shape (2,)
        Time and processor time [s].
    ndarray of float32, shape (windows,)
        Their errors.
    """
    raw, _ = IndexedReader(day.dataset).rows(0, windows + WINDOW - 1)
    errors = []
    start = clock()
    for i in range(windows):
        body = json.dumps({"instances": raw[np.newaxis, i : i + WINDOW].tolist()})
        connection.request("POST", "/v1/models/autoencoder:predict", body)
        answer = json.loads(connection.getresponse().read())
        errors.append(answer["predictions"][0]["error"])
    return clock() - start, np.array(errors, dtype=np.float32)


def measure_alone(way: str, day: Day, batch_size: int) -> measuring.Figures:
    """Measure one way in this process, which did nothing else before.

    Parameters
    ----------
    way : str
        Which.
    day : Day
        What to score.
    batch_size : int
        Windows in a batch.

    Returns
    -------
    dict
        Time to the first result [s], and memory that was added [byte].
    """
    import tensorflow as tf

    first: list[float] = []
    measuring.reset_peak()
    before = measuring.resident_bytes()
    if way == "echoanom":
        with_echoanom(day, batch_size, day.windows, first)
    elif way == "SavedModel rows":
        rows_of = tf.saved_model.load(day.saved_model).signatures["rows"]
        first.append(float(with_saved_model(day, rows_of, day.windows)[0][0]))
    else:
        call = day.model.predict_on_batch
        if way == "predict":
            call = functools.partial(
                day.model.predict, batch_size=batch_size, verbose=0
            )
            batch_size = PREDICT_WINDOWS
        with_model(day, call, batch_size, day.windows, first)
    return {"first_s": first[0], "added_bytes": measuring.peak_bytes() - before}


def try_batch_sizes(
    day: Day, sizes: Sequence[int], repeats: int
) -> list[measuring.Figures]:
    """Try batch sizes, in turns.

    Parameters
    ----------
    day : Day
        What to score.
    sizes : sequence of int
        The batch sizes.
    repeats : int
        Turns.

    Returns
    -------
    list of dict
        Median time per window of either way, by batch size [ms].
    """
    windows = min(TRIED_WINDOWS, day.windows)
    sizes = [size for size in sizes if 2 * size <= windows]
    bare = day.model.predict_on_batch

    def own(size: int) -> float:
        # Building the graph comes once a day, and would hide everything here.
        first: list[float] = []
        taken, _ = with_echoanom(day, size, windows, first)
        return float(taken[0] - first[0]) * windows / (windows - size)

    cases = {}
    for size in sizes:
        cases[f"{BARE} {size}"] = lambda n=size: float(
            with_model(day, bare, n, windows)[0][0]
        )
        cases[f"echoanom {size}"] = lambda n=size: own(n)
    times = measuring.in_turns(cases, repeats)
    return [
        {
            "batch_size": size,
            **{
                way: 1e3 / windows * statistics.median(times[f"{way} {size}"])
                for way in (BARE, "echoanom")
            },
        }
        for size in sizes
    ]


def compare(
    day: Day, sizes: dict[str, int], repeats: int, requests: int
) -> tuple[list[measuring.Figures], float]:
    """Score the day every way, in turns.

    Parameters
    ----------
    day : Day
        What to score.
    sizes : dict of str to int
        Batch sizes.
    repeats : int
        Turns.
    requests : int
        Windows that are sent to the server one by one.

    Returns
    -------
    lines : list of dict
        One each way.
    apart : float
        The most that an error of a window differs between two ways, relative.
    """
    import tensorflow as tf

    model, windows = day.model, day.windows
    bare, own = sizes[BARE], sizes["echoanom"]
    rows_of = tf.saved_model.load(day.saved_model).signatures["rows"]
    predict = functools.partial(model.predict, batch_size=bare, verbose=0)
    errors: dict[str, Floats] = {}
    processor: dict[str, list[float]] = collections.defaultdict(list)

    def keep(way: str, measured: Measured) -> float:
        (taken, of_processor), errors[way] = measured
        processor[way].append(float(of_processor))
        return float(taken)

    with endpoint(day.saved_model) as connection:
        cases = {
            BARE: lambda: with_model(day, model.predict_on_batch, bare, windows),
            "echoanom": lambda: with_echoanom(day, own, windows),
            "predict": lambda: with_model(day, predict, PREDICT_WINDOWS, windows),
            "SavedModel rows": lambda: with_saved_model(day, rows_of, windows),
            "request per window": lambda: with_requests(day, connection, requests),
        }
        times = measuring.in_turns(
            {way: lambda w=way: keep(w, cases[w]()) for way in cases}, repeats
        )
    per_window = {
        way: [1e3 * taken / len(errors[way]) for taken in times[way]] for way in cases
    }
    lines = [
        {
            "way": way,
            "windows": len(errors[way]),
            "batch_size": {BARE: bare, "echoanom": own, "predict": bare}.get(way),
            "ms_per_window": statistics.median(per_window[way]),
            "ratio": measuring.median_ratio(per_window[BARE], per_window[way]),
            "ratios": [
                a / b for a, b in zip(per_window[BARE], per_window[way], strict=True)
            ],
        }
        for way in cases
    ]
    for line in lines[:-1]:  # the server's is not this process's
        of_way, of_bare = processor[line["way"]][1:], processor[BARE][1:]
        line["cpu_ms_per_window"] = 1e3 / windows * statistics.median(of_way)
        line["cpu_ratio"] = measuring.median_ratio(of_bare, of_way)
    apart = max(
        float(np.max(np.abs(found / errors[BARE][: len(found)] - 1)))
        for found in errors.values()
    )
    return lines, apart


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print tables, and write JSON.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process if left out.

    Returns
    -------
    int
        1 if the ways find different errors.
    """
    parser = measuring.parser(__doc__, repeats=3, keep=True, case=True)
    parser.add_argument("--columns", type=int, default=1600)
    parser.add_argument("--rows", type=int, default=1440, help="of the day")
    parser.add_argument("--requests", type=int, default=16, help="sent to the server")
    parser.add_argument(
        "--batch-sizes", type=int, nargs="+", default=list(BATCH_SIZES), help="tried"
    )
    parser.add_argument("--serve", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        serve(options.serve)
        return 0
    if options.case:
        case = json.loads(Path(options.case).read_text(encoding="utf-8"))
        day = Day(case["folder"], case["columns"], case["rows"])
        found = measure_alone(case["way"], day, case["batch_size"])
        print(json.dumps(found))
        return 0
    if options.toy:
        options.columns, options.rows, options.requests = 16, 100, 3
        options.repeats = 1
    from echoanom.scoring import default_batch_size

    with contextlib.ExitStack() as stack:
        folder = options.keep or stack.enter_context(tempfile.TemporaryDirectory())
        day = Day(folder, options.columns, options.rows)
        tried = try_batch_sizes(day, options.batch_sizes, options.repeats)
        sizes = {
            BARE: min(tried, key=lambda one: one[BARE])["batch_size"],
            "echoanom": default_batch_size(WINDOW, options.columns),
        }
        lines, apart = compare(day, sizes, options.repeats, options.requests)
        for line in lines[:4]:
            alone = {
                "way": line["way"],
                "batch_size": line["batch_size"],
                "folder": folder,
                "columns": options.columns,
                "rows": options.rows,
            }
            line.update(measuring.in_own_process(__file__, alone))
            line["added_mb"] = round(line["added_bytes"] / 1e6)
    title = f"windows of {WINDOW} x {options.columns}, stride 1"
    measuring.print_table(
        f"Batch sizes, {title}: ms per window",
        {"batch_size": "batch", BARE: BARE, "echoanom": "echoanom"},
        tried,
    )
    measuring.print_table(f"A day, {title}", COLUMNS, lines)
    print(f"errors of windows differ by {apart:.1e} at most")
    results = {
        "machine": measuring.machine("tensorflow", "keras"),
        "settings": {
            k: getattr(options, k) for k in ("columns", "rows", "requests", "repeats")
        },
        "batch_sizes": tried,
        "results": lines,
        "apart": apart,
    }
    measuring.write_json(options.json, "scoring", results)
    return int(not apart < 1e-4)


if __name__ == "__main__":
    sys.exit(main())
