"""How the tutorial works, written anew and in brief. Its mistakes are left in.

`tutorial_mistakes` measures them against echoanom on the same data. Where a shortcut
was taken, it favours the tutorial: time stamps are dropped before the numbers are
handled, batches stay in float64, and the endpoint answers over loopback.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import itertools
import json
import pathlib
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

TRAINING_ROWS = 128 * 64
"""Rows of a training batch: 128 windows of 64."""

INFERENCE_ROWS = 8
"""Rows of the window that is sent to the endpoint."""

Floats = NDArray[np.float64]


def daily_tables(source: str, sensor: str) -> list[pathlib.Path]:
    """Return the daily CSVs of a sensor, in order of time."""
    return sorted(pathlib.Path(source, sensor, "tabular").glob("*.csv"))


def read_record_count(table: pathlib.Path) -> int:
    """Read how many rows a daily CSV has: ``name=N``, second line of its meta_info."""
    text = table.with_name(f"meta_info_{table.stem}.txt").read_text()
    return int(text.splitlines()[1].partition("=")[2])


def read_sensor(source: str, sensor: str) -> pd.DataFrame:
    """Read all daily CSVs of a sensor, with their stamps as index."""
    return pd.concat(
        pd.read_csv(path, index_col=0, parse_dates=True)
        for path in daily_tables(source, sensor)
    )


def join_sensors(source: str) -> pd.DataFrame:
    """Join all sensors on the minute, keeping every minute that any of them has."""
    folders = sorted(path for path in pathlib.Path(source).iterdir() if path.is_dir())
    joined = read_sensor(source, folders[0].name)
    for folder in folders[1:]:
        joined = joined.join(read_sensor(source, folder.name), how="outer")
    return joined


def fill_and_scale(rows: Floats) -> Floats:
    """Put 0 where a value is missing, and divide each column by its loudest number.

    "Loudest" means farthest from 0, so in dB it is the quietest; and it is that of
    these rows alone.
    """
    filled = np.nan_to_num(rows)
    with np.errstate(invalid="ignore"):  # 0 / 0, which the tutorial does not see
        scaled: Floats = filled / np.abs(filled).max(axis=0)
    return scaled


class CsvBatches:
    """Batches of windows, each batch read from the daily CSVs it touches."""

    def __init__(self, tables: list[pathlib.Path], size: int, batch_size: int) -> None:
        self.tables = tables
        self.size = size
        self.rows = size * batch_size
        counts = [read_record_count(table) for table in tables]
        self.ends = list(itertools.accumulate(counts))

    def __len__(self) -> int:
        return self.ends[-1] // self.rows

    def __getitem__(self, index: int) -> Floats:
        """Read a batch, shape (windows, size, columns)."""
        first, stop = index * self.rows, (index + 1) * self.rows
        parts, begin = [], 0
        for path, end in zip(self.tables, self.ends, strict=True):
            if begin < stop and first < end:
                table = pd.read_csv(path).iloc[:, 1:].to_numpy()
                parts.append(table[max(first - begin, 0) : stop - begin])
            begin = end
        rows = fill_and_scale(np.concatenate(parts))
        return rows.reshape(-1, self.size, rows.shape[1])


Model = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Takes windows, shape (B, T, C), and returns their reconstructions."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps the connection open between windows
    disable_nagle_algorithm = True
    wbufsize = -1
    model: Model

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        windows = np.array(json.loads(body)["instances"], dtype=np.float32)
        answer = json.dumps({"predictions": self.model(windows).tolist()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def endpoint(model: Model) -> Iterator[Model]:
    """Serve a model over HTTP, and yield a function that calls it.

    Windows travel as JSON both ways, as with TensorFlow Serving's REST interface.
    """
    handler = type("Handler", (_Handler,), {"model": staticmethod(model)})
    server = http.server.HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)

    def predict(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        body = json.dumps({"instances": windows.tolist()})
        connection.request("POST", "/v1/models/autoencoder:predict", body)
        answer = json.loads(connection.getresponse().read())
        return np.array(answer["predictions"], dtype=np.float32)

    try:
        yield predict
    finally:
        connection.close()
        server.shutdown()
        thread.join()
        server.server_close()
