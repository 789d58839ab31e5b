#!/usr/bin/env python3
"""Measure how fast `echoanom serve` scores a day, against a request for each window.

::

    python benchmarks/serving.py --json serving.json

A simulated day of an echosounder without gaps, the default autoencoder with random weights,
and one server, a process of its own. In turns, one request after the other:

- ``npy``, ``tfrecord``, ``csv``, ``json``: the rows of the day in one request, answered with
  the score of every row;
- ``window by window``: the tutorial's loop over the first ``--requests`` windows. Each is
  sent as JSON, comes back as its reconstruction, in JSON, and the client computes the error.

Bodies lie ready before the clock runs, but those of the loop, which has to cut its windows
out. *x loop* is the time that the loop takes for all windows of the day, by its time for
one, over the time of the request; all ways must find the same errors.

Then ``--clients`` clients send requests for ``--seconds``, rows in every content type and
some that must be refused, each of which is compared with its first answer. Reported are
requests, errors and the memory of the server, after a start of a tenth of that time and at
the end.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import io
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import measuring
import numpy as np
import numpy.typing as npt

from echoanom import records
from echoanom.artifact import Artifact, save_artifact
from echoanom.autoencoder import build_autoencoder
from echoanom.conversion import convert
from echoanom.dataset import open_dataset
from echoanom.history import EpochLosses, TrainingRecord
from echoanom.modeloptions import ModelOptions, TrainOptions
from echoanom.normalization import fit_normalization
from echoanom.options import StackOptions, WindowOptions
from echoanom.reader import IndexedReader
from echoanom.simulation import SimulationOptions, simulate

WINDOW = 64
SENSOR = "echosounder"
LOOP = "window by window"
KINDS = {
    "npy": "application/x-npy",
    "tfrecord": "application/x-tfrecord",
    "csv": "text/csv",
    "json": "application/json",
}
COLUMNS = {
    "way": "way",
    "requests": "requests",
    "windows": "windows",
    "body_mb": "sent [MB]",
    "seconds": "seconds",
    "ms_per_window": "ms/window",
    "ratio": "x loop",
}
LOAD_COLUMNS = {
    "seconds": "seconds",
    "clients": "clients",
    "requests": "requests",
    "errors": "errors",
    "requests_per_s": "requests/s",
    "start_mb": "start [MB]",
    "end_mb": "end [MB]",
}

Floats = npt.NDArray[np.float32]


def prepare(folder: str, columns: int, rows: int) -> tuple[str, Floats]:
    """Make a day and an untrained model.

    Parameters
    ----------
    folder : str
        Where.
    columns : int
        Columns of the day.
    rows : int
        How many of its first rows are used.

    Returns
    -------
    artifact : str
        Folder of the model.
    values : ndarray of float32, shape (rows, columns)
        The rows.
    """
    source, path = f"{folder}/source", f"{folder}/dataset"
    simulate(
        source,
        SimulationOptions(
            1, bins=columns, anomalies=0, sensors=(SENSOR,), gap_rate=0.0
        ),
    )
    convert(source, path, stacking=StackOptions(sensors=(SENSOR,)))
    dataset = open_dataset(path)
    days = tuple(day.isoformat() for day in dataset.days)
    artifact = Artifact(
        columns=dataset.columns,
        period_s=dataset.period_s,
        window=WindowOptions(WINDOW),
        network=ModelOptions(kind="autoencoder"),
        training=TrainOptions(),
        normalization=fit_normalization(dataset.statistics(), "range"),
        record=TrainingRecord(
            dataset_path=path,
            dataset_digest=dataset.digest,
            training_days=days,
            validation_days=(),
            include=None,
            exclude=(),
            history=(EpochLosses(1, 1.0, None),),
            stop_reason="never trained",
        ),
        model=build_autoencoder(WINDOW, len(dataset.columns)),
    )
    save_artifact(artifact, f"{folder}/model")
    values, _ = IndexedReader(dataset).rows(0, min(rows, int(dataset.runs.rows[0])))
    return f"{folder}/model", values


def bodies_of(values: Floats) -> dict[str, bytes]:
    """Write rows in every content type.

    Parameters
    ----------
    values : ndarray of float32, shape (N, C)
        The rows.

    Returns
    -------
    dict of str to bytes
        By the names of `KINDS`.
    """
    array = io.BytesIO()
    np.save(array, values)
    lines = [",".join("" if x != x else repr(x) for x in row) for row in nested(values)]
    cells = [[None if x != x else x for x in row] for row in nested(values)]
    record, _ = records.encode(records.Block(0, values), "float32", 0)
    return {
        "npy": array.getvalue(),
        "tfrecord": record,
        "csv": ("\n".join(lines) + "\n").encode(),
        "json": json.dumps({"rows": cells}).encode(),
    }


def nested(values: Floats) -> list[list[float]]:
    """Turn rows into numbers with no more digits than float32 has.

    Parameters
    ----------
    values : ndarray of float32, shape (N, C)
        The rows.

    Returns
    -------
    list of list of float
        The same.
    """
    texts = values.astype(str)
    return [[float(text) for text in row] for row in texts]


class Server:
    """`echoanom serve` in a process of its own.

    Parameters
    ----------
    model : str
        The model.
    """

    def __init__(self, model: str) -> None:
        command = [sys.executable, "-m", "echoanom", "serve", model, "--port", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.port = int(line.rpartition(":")[2])

    def resident_bytes(self) -> int:
        """Return the memory that it holds.

        Returns
        -------
        int
            Resident [byte].
        """
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @contextlib.contextmanager
    def connection(self) -> Iterator[http.client.HTTPConnection]:
        """Connect to it.

        Yields
        ------
        HTTPConnection
            To be used by `ask`.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        with contextlib.closing(connection):
            yield connection

    def stop(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()
        if status:
            raise RuntimeError(f"the server must end with 0, ended with {status}")


def ask(
    connection: http.client.HTTPConnection, kind: str, body: bytes
) -> tuple[int, bytes]:
    """Send a request.

    Parameters
    ----------
    connection : HTTPConnection
        To the server.
    kind : str
        Content type of the body.
    body : bytes
        The body.

    Returns
    -------
    status : int
        HTTP status.
    answer : bytes
        The answer.
    """
    connection.request("POST", "/invocations", body, {"Content-Type": kind})
    answer = connection.getresponse()
    return answer.status, answer.read()


def loop(
    connection: http.client.HTTPConnection, values: Floats, windows: int
) -> tuple[float, Floats, int]:
    """Send a request for each window, as the tutorial does.

    Parameters
    ----------
    connection : HTTPConnection
        To the server.
    values : ndarray of float32, shape (N, C)
        The rows.
    windows : int
        How many, from the first on.

    Returns
    -------
    seconds : float
        Time that it took [s].
    errors : ndarray of float32, shape (windows,)
        What the server says they are.
    sent : int
        Size of the bodies [byte].
    """
    errors, sent = [], 0
    start = time.perf_counter()
    for i in range(windows):
        body = json.dumps(
            {"instances": values[np.newaxis, i : i + WINDOW].tolist()}
        ).encode()
        status, answer = ask(connection, KINDS["json"], body)
        if status != 200:
            raise RuntimeError(f"must be answered with 200, got {status}: {answer!r}")
        found = json.loads(answer)["predictions"][0]
        np.asarray(found["reconstruction"], dtype=np.float32)
        errors.append(found["error"])
        sent += len(body)
    return time.perf_counter() - start, np.array(errors, dtype=np.float32), sent


def compare(
    server: Server, values: Floats, requests: int, repeats: int
) -> tuple[list[measuring.Figures], float]:
    """Time the ways to score a day.

    Parameters
    ----------
    server : Server
        The server.
    values : ndarray of float32, shape (N, C)
        The day.
    requests : int
        Windows of the loop.
    repeats : int
        Turns.

    Returns
    -------
    lines : list of dict
        A line a way.
    apart : float
        How much their errors differ at most, relatively.
    """
    windows = len(values) - WINDOW + 1
    bodies = bodies_of(values)
    found: dict[str, Floats] = {}
    sent = {name: len(body) for name, body in bodies.items()}

    with server.connection() as connection:

        def day(name: str) -> float:
            start = time.perf_counter()
            status, answer = ask(connection, KINDS[name], bodies[name])
            seconds = time.perf_counter() - start
            if status != 200:
                raise RuntimeError(f"must be answered with 200, got {status}")
            scores = json.loads(answer)["window_score"][:windows]
            found[name] = np.array(scores, dtype=np.float32)
            return seconds

        def window_by_window() -> float:
            seconds, found[LOOP], sent[LOOP] = loop(connection, values, requests)
            return seconds / requests * windows

        times = measuring.in_turns(
            {name: lambda name=name: day(name) for name in bodies}  # type: ignore[misc]
            | {LOOP: window_by_window},
            repeats,
        )
    lines = []
    for name, seconds in times.items():
        asked = requests if name == LOOP else 1
        lines.append(
            {
                "way": name,
                "requests": asked,
                "windows": requests if name == LOOP else windows,
                "body_mb": round(sent[name] / asked / 1e6, 2),
                "seconds": statistics.median(seconds),
                "ms_per_window": statistics.median(seconds) / windows * 1e3,
                "ratio": measuring.median_ratio(times[LOOP], seconds),
            }
        )
    apart = max(
        float(np.abs(errors[:requests] / found["npy"][:requests] - 1).max())
        for errors in found.values()
    )
    return lines, apart


def hold_out(
    server: Server, values: Floats, seconds: float, clients: int
) -> measuring.Figures:
    """Send requests from many clients for a while.

    Parameters
    ----------
    server : Server
        The server.
    values : ndarray of float32, shape (N, C)
        Rows that they send.
    seconds : float
        For how long [s].
    clients : int
        How many clients.

    Returns
    -------
    dict
        Requests, errors, and memory of the server.
    """
    cases = [(KINDS[name], body, 200) for name, body in bodies_of(values).items()]
    cases += [(KINDS["csv"], b"1,2\n", 400), ("text/html", b"<p>", 415)]
    with server.connection() as connection:
        expected = [ask(connection, kind, body) for kind, body, _ in cases]

    def client(end: float) -> tuple[int, int]:
        done = errors = 0
        with server.connection() as connection:
            for which in itertools.cycle(range(len(cases))):
                if time.monotonic() >= end:
                    return done, errors
                kind, body, status = cases[which]
                try:
                    answer = ask(connection, kind, body)
                    errors += answer != expected[which] or answer[0] != status
                except (OSError, http.client.HTTPException):
                    errors += 1
                    connection.close()
                done += 1
        raise AssertionError("a cycle does not end")

    def clients_for(seconds: float) -> tuple[int, int]:
        end = time.monotonic() + seconds
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            found = list(pool.map(client, [end] * clients))
        return sum(done for done, _ in found), sum(errors for _, errors in found)

    clients_for(seconds / 10)
    before = server.resident_bytes()
    start = time.monotonic()
    done, errors = clients_for(seconds)
    taken = time.monotonic() - start
    return {
        "seconds": taken,
        "clients": clients,
        "rows": len(values),
        "requests": done,
        "errors": errors,
        "requests_per_s": done / taken,
        "start_bytes": before,
        "end_bytes": server.resident_bytes(),
        "start_mb": round(before / 1e6),
        "end_mb": round(server.resident_bytes() / 1e6),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print two tables.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process if left out.

    Returns
    -------
    int
        0; 1 if the errors of the ways differ, or a request of the load failed.
    """
    parser = measuring.parser(__doc__, repeats=3)
    parser.add_argument("--columns", type=int, default=1600)
    parser.add_argument("--rows", type=int, default=1440)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--load-rows", type=int, default=WINDOW + 16)
    options = parser.parse_args(arguments)
    if options.toy:
        options.columns, options.rows, options.requests = 16, 100, 3
        options.repeats, options.seconds, options.clients = 1, 2, 2
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        model, values = prepare(folder, options.columns, options.rows)
        server = Server(model)
        try:
            lines, apart = compare(server, values, options.requests, options.repeats)
            load = hold_out(
                server, values[: options.load_rows], options.seconds, options.clients
            )
        finally:
            server.stop()
    title = f"A day of {len(values)} x {options.columns}, windows of {WINDOW}"
    measuring.print_table(title, COLUMNS, lines)
    shown: Mapping[str, object] = load
    measuring.print_table(
        f"Load of requests with {load['rows']} rows", LOAD_COLUMNS, [dict(shown)]
    )
    print(f"errors of windows differ by {apart:.1e} at most")
    measuring.write_json(
        options.json,
        "serving",
        {
            "machine": measuring.machine("tensorflow", "keras", "waitress"),
            "settings": {
                k: getattr(options, k)
                for k in ("columns", "rows", "requests", "repeats")
            },
            "results": lines,
            "load": load,
            "apart": apart,
        },
    )
    return int(not apart < 1e-4 or load["errors"] > 0)


if __name__ == "__main__":
    sys.exit(main())
