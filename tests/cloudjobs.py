"""Training jobs on this machine, and a list of the windows that each epoch had.

Run as a script it is the job itself, with an ear at what its training is fed, which can
be slowed down by a pause at each batch [s].
"""

from __future__ import annotations

import collections
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

LIST = "ECHOANOM_TEST_STARTS"
PAUSE = "ECHOANOM_TEST_PAUSE"

_LOSSES = re.compile(r"train_loss=(\S+) validation_loss=(\S+)")


def losses_of(lines: list[str]) -> list[tuple[float, float]]:
    """Return the losses of training and validation of each epoch."""
    found = [_LOSSES.search(line) for line in lines]
    return [(float(one[1]), float(one[2])) for one in found if one]


def starts_of(folder: Path) -> dict[int, collections.Counter[int]]:
    """Return how often each window came in each epoch, over all hosts."""
    found: dict[int, collections.Counter[int]] = collections.defaultdict(
        collections.Counter
    )
    for path in folder.glob("*.jsonl"):
        for line in path.read_text().splitlines():
            epoch, starts = json.loads(line)
            found[epoch].update(starts)
    return found


def _listen(folder: str) -> None:
    """Write down the start of each window that the training is fed."""
    import tensorflow as tf

    from echoanom import feeding, fitting

    path = os.path.join(folder, f"{os.getpid()}.jsonl")

    def note(epoch: int, starts: Any) -> None:
        time.sleep(float(os.environ[PAUSE]))
        with open(path, "a") as file:
            file.write(json.dumps([epoch, [int(start) for start in starts]]) + "\n")

    feeding._FIELDS = ("values", "observed", "start")
    epoch_of = feeding.StreamFeed._epoch
    nothing = feeding.StreamFeed._nothing

    def heard(self: Any, opened: int, epoch: int, done: int) -> Iterator[Any]:
        for batch in epoch_of(self, opened, epoch, done):
            note(epoch, batch["start"])
            yield batch

    def silent(self: Any) -> Mapping[str, Any]:
        import numpy as np

        return {**nothing(self), "start": np.empty(0, np.int64)}

    feeding.StreamFeed._epoch = heard
    feeding.StreamFeed._nothing = silent

    windows = fitting.windows

    def noted(dataset: Any, options: Any, **given: Any) -> Any:
        if given["runs"] is not fitting_runs[0]:
            return windows(dataset, options, **given)
        given["fields"] = (*given["fields"], "start")
        per_epoch = fitting.batches_per_epoch(dataset, options, given["runs"])
        position = iter(range(given["start"], 1 << 62))

        def write(starts: Any) -> int:
            note(next(position) // per_epoch, starts)
            return 0

        def hear(batch: Any) -> Any:
            zero = tf.numpy_function(write, [batch["start"]], tf.int64)
            with tf.control_dependencies([zero]):
                return {name: tf.identity(value) for name, value in batch.items()}

        return windows(dataset, options, **given).map(hear)

    fitting_runs: list[Any] = [None]
    run = fitting.Fitting.run

    def known(self: Any, *arguments: Any) -> Any:
        fitting_runs[0] = self.holdout.training
        return run(self, *arguments)

    fitting.windows = noted
    fitting.Fitting.run = known


def _main() -> int:
    from echoanom.cloud.train import main

    if os.environ.get(LIST):
        _listen(os.environ[LIST])
    return main()


if __name__ == "__main__":
    sys.exit(_main())
