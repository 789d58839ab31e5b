"""The training job: what runs in the container, on each of its hosts.

``python -m echoanom.cloud.train``, or `main` from a script of the launcher's. It exits
with 0 when the model is written, with 1 after a failure, whose text is in
``/opt/ml/output/failure``, and with 143 when it was asked to end before it was done; a job
that is started again with the same checkpoints goes on from there.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence

from echoanom.checkpoints import Checkpoint, TrainingState
from echoanom.cloud.contract import Job, output_dir, read_job
from echoanom.cloud.exchange import Exchange, lost_hosts
from echoanom.cloud.hyperparameters import Hyperparameters, parse_hyperparameters
from echoanom.cloud.inputs import Inputs, open_inputs
from echoanom.cloud.metrics import epoch_line
from echoanom.cloud.packaging import write_model_dir
from echoanom.cloud.stopping import STATUS, Stopping
from echoanom.errors import EchoanomError, OptionError, TrainingStoppedError
from echoanom.fitting import Fitting
from echoanom.history import EpochLosses
from echoanom.options import Share
from echoanom.parallel import DataParallel, local_devices
from echoanom.progress import no_progress
from echoanom.redaction import redact
from echoanom.training import save_training

logger = logging.getLogger(__name__)

_FAILURE_CHARACTERS = 1024  # so many of them DescribeTrainingJob returns


def main(
    arguments: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Run the job of this host.

    Parameters
    ----------
    arguments : sequence of str, optional
        ``--name value`` for each hyperparameter, as launchers pass them on beside the
        files that have them all; those of the process if left out.
    environment : mapping, optional
        Variables; those of the process if left out.

    Returns
    -------
    int
        The exit status.
    """
    environment = os.environ if environment is None else environment
    logging.basicConfig(
        level=logging.INFO, format="%(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("tensorflow").setLevel(logging.WARNING)  # it says a line a step
    stopping = Stopping()
    try:
        run(environment, sys.argv[1:] if arguments is None else arguments, stopping)
    except TrainingStoppedError as stopped:
        _say(str(stopped))
        return STATUS
    except EchoanomError as error:
        return _failed(str(error), environment)
    except Exception as error:
        traceback.print_exc()
        return _failed(
            f"{type(error).__name__}: {error} (not foreseen; the log shows where)",
            environment,
        )
    return 0


def run(
    environment: Mapping[str, str], arguments: Sequence[str], stopping: Stopping
) -> None:
    """Train, and write the model if this is the first host.

    Parameters
    ----------
    environment : mapping
        Variables.
    arguments : sequence of str
        ``--name value`` of hyperparameters.
    stopping : Stopping
        Tells whether the job was asked to end.

    Raises
    ------
    EchoanomError
        If the job cannot be done.
    TrainingStoppedError
        If it was asked to end.
    """
    job = read_job(environment)
    options = parse_hyperparameters({**job.hyperparameters, **_as_mapping(arguments)})
    share = Share(job.worker, len(job.hosts))
    exchange = None
    if share.workers > 1:
        default = tuple(f"{host}:{options.job.port}" for host in job.hosts)
        exchange = Exchange(job.addresses or default, job.worker)
        stopping.listen()
    with lost_hosts(), open_inputs(job, options, share) as inputs:
        devices = local_devices()
        parallel = None
        if exchange or inputs.feed or len(devices) > 1:
            parallel = DataParallel(
                devices, None if exchange is None else exchange.total
            )
        fitting = Fitting(
            inputs.dataset,
            options.window,
            options.training,
            inputs.holdout,
            inputs.normalization,
            no_progress,
            checkpoint_every=options.job.checkpoint_every,
            feed=inputs.feed,
            parallel=parallel,
            share=share,
            stopping=stopping,
            epoch_done=None if job.worker else _Reporter(inputs.windows),
        )
        checkpoint = _checkpoint(job, options, inputs, exchange)
        if checkpoint.exists():
            _say(f"goes on after {checkpoint.load().position} {_unit(inputs)}")
        logs = "" if job.worker else job.tensorboard
        model, state = fitting.run(options.network, checkpoint, logs)
        if job.worker == 0:
            with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
                save_training(
                    fitting,
                    options.network,
                    model,
                    state,
                    folder,
                    dataset_path=options.job.dataset or inputs.dataset.path,
                )
                write_model_dir(folder, job.model_dir)
            _say(f"the model is written: {state.stop_reason}")
        if exchange is not None:
            exchange.meet()


class _Reporter:
    """Prints a line for each epoch."""

    def __init__(self, windows: int) -> None:
        self._windows = windows
        self._since = time.monotonic()

    def __call__(self, losses: EpochLosses) -> None:
        now = time.monotonic()
        line = epoch_line(
            losses.epoch,
            losses.loss,
            losses.validation_loss,
            self._windows,
            now - self._since,
        )
        print(line, flush=True)
        self._since = now


class _Followed(Checkpoint):
    """What the first host has stored, on a host that stores nothing itself."""

    def __init__(self, own: Checkpoint, content: bytes) -> None:
        self._own = own
        self._content = content

    def exists(self) -> bool:
        return bool(self._content)

    def load(self) -> TrainingState:
        return self._own.parse(self._content)

    def save(self, state: TrainingState) -> None:
        pass


def _checkpoint(
    job: Job, options: Hyperparameters, inputs: Inputs, exchange: Exchange | None
) -> Checkpoint:
    identity = {
        "dataset": inputs.dataset.digest,
        "window": options.window.as_json(),
        "network": options.network.as_json(),
        "training": options.training.as_json(),
        "position": _unit(inputs),
    }
    own = Checkpoint(job.checkpoints, identity)
    if exchange is None:
        return own
    mine = own.read() if job.worker == 0 and own.exists() else b""
    content = exchange.from_first(mine)
    return own if job.worker == 0 else _Followed(own, content)


def _unit(inputs: Inputs) -> str:
    return "batches" if inputs.feed is None else "windows"


def _as_mapping(arguments: Sequence[str]) -> dict[str, str]:
    """Turn ``--name value`` and ``--name=value`` into names and values."""
    found: dict[str, str] = {}
    left = list(arguments)
    while left:
        name, equals, value = left.pop(0).partition("=")
        if not name.startswith("--") or not (equals or left):
            raise OptionError(f"arguments must be pairs of --name value, got {name!r}")
        found[name[2:]] = value if equals else left.pop(0)
    return found


def _failed(text: str, environment: Mapping[str, str]) -> int:
    line = redact(" ".join(text.split()))
    _say(f"error: {line}")
    folder = output_dir(environment)
    try:
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "failure"), "w", encoding="utf-8") as file:
            file.write(line[:_FAILURE_CHARACTERS])
    except OSError as error:
        _say(f"the failure cannot be written: {error}")
    return 1


def _say(text: str) -> None:
    print(f"echoanom: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
