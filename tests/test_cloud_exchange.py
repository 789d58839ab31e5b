"""The exchange between hosts: sums, the first one's content, and the loss of a host."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import os, sys
import numpy as np
import tensorflow as tf
from echoanom.cloud.exchange import Exchange, lost_hosts
from echoanom.errors import CloudError

worker, addresses = int(sys.argv[1]), tuple(sys.argv[2].split(","))
exchange = Exchange(addresses, worker)
total = tf.function(exchange.total)(tf.constant([worker + 1.0, 10.0]))
print("total", *total.numpy())
long = os.urandom(5_000_000) if worker == 0 else b""
found = exchange.from_first(b"of worker %d" % worker)
print("first", found.decode(), len(exchange.from_first(long)))
print("nothing", exchange.from_first(b""))
exchange.meet()
if worker == 1 and sys.argv[3] == "lost":
    os._exit(3)
try:
    with lost_hosts():
        exchange.meet()
    print("met")
except CloudError as error:
    print("lost", error)
sys.stdout.flush()
os._exit(0)
"""


def run(workers: int, end: str) -> list[list[str]]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    addresses = ",".join(f"127.0.0.1:{one.getsockname()[1]}" for one in sockets)
    for one in sockets:
        one.close()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(worker), addresses, end],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        )
        for worker in range(workers)
    ]
    return [process.communicate(timeout=120)[0].splitlines() for process in processes]


def test_every_host_has_the_sum_and_the_first_hosts_content() -> None:
    for lines in run(3, "kept"):
        assert lines == [
            "total 6.0 30.0",
            "first of worker 0 5000000",
            "nothing b''",
            "met",
        ]


def test_the_loss_of_a_host_is_said() -> None:
    first, second = run(2, "lost")
    assert len(second) == 3
    assert first[-1].startswith("lost all hosts must train to the end, but another")
