"""The command that serves a model on this machine: serve."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import click

from echoanom.cli.console import print_lines, quiet_tensorflow
from echoanom.cli.parameters import command


@command
@click.argument("model")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 is every one of this machine.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port to listen on; 0 picks a free one.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    metavar="N",
    help="Requests that are answered at once.",
)
@click.option(
    "--max-mib",
    type=click.IntRange(1, 1024),
    default=100,
    show_default=True,
    metavar="MIB",
    help="Size of a request, at most.",
)
def serve(model: str, host: str, port: int, threads: int, max_mib: int) -> None:
    """Answer requests for scores, as the model's endpoint on SageMaker does.

    MODEL is an artifact folder or a model.tar.gz. A day of rows, as JSON, CSV, .npy or
    TFRecord, is scored in one request to /invocations; /ping tells that the server is
    up. SIGTERM or Ctrl-C ends it once the requests at hand are answered.

    \b
    Example:
      echoanom serve model --port 8080
      curl -H 'Content-Type: text/csv' --data-binary @2015-02-01.csv \\
          http://127.0.0.1:8080/invocations
    """
    quiet_tensorflow()
    from echoanom.cloud import server

    stop = threading.Event()

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {
        number: signal.signal(number, ask_to_stop)
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        server.serve(
            model,
            host=host,
            port=port,
            threads=threads,
            most_bytes=max_mib << 20,
            stop=stop,
            ready=lambda address: print_lines([f"serving on {address}"]),
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
