"""Sums over the hosts of one job, by TensorFlow's own collectives.

Each host is one worker of a `MultiWorkerMirroredStrategy` that does nothing but add up.
Keras does not know of it: its `fit` cannot run under such a strategy, but runs beside it.
What travels are gradients, which are small, so it is the processors that exchange them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from echoanom.errors import CloudError


@contextlib.contextmanager
def lost_hosts() -> Iterator[None]:
    """Say that another host is gone, where TensorFlow says that its sum has failed.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    CloudError
        In place of TensorFlow's error.
    """
    try:
        yield
    except (
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
        tf.errors.InternalError,
        tf.errors.UnavailableError,
    ) as error:
        if "ollective" not in str(error):
            raise
        raise CloudError(
            "all hosts must train to the end, but another host of this job has ended;"
            " its own log says why"
        ) from None


class Exchange:
    """This host's end of the exchange. To be made before TensorFlow computes anything.

    Parameters
    ----------
    addresses : sequence of str
        ``host:port`` of every host.
    worker : int
        Which of them this is.

    Raises
    ------
    CloudError
        If the hosts do not find each other.
    """

    def __init__(self, addresses: tuple[str, ...], worker: int) -> None:
        distribute = tf.distribute
        resolver = distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(addresses)}),
            task_type="worker",
            task_id=worker,
            num_accelerators={"GPU": 0},
            rpc_layer="grpc",
        )
        ring = distribute.experimental.CommunicationImplementation.RING
        try:
            self._strategy = distribute.MultiWorkerMirroredStrategy(
                cluster_resolver=resolver,
                communication_options=distribute.experimental.CommunicationOptions(
                    implementation=ring
                ),
            )
        except (tf.errors.OpError, RuntimeError) as error:
            raise CloudError(
                f"hosts must reach each other at {', '.join(addresses)}, but:"
                f" {str(error).splitlines()[0]}"
            ) from None
        self._worker = worker

    def total(self, vector: tf.Tensor) -> tf.Tensor:
        """Add up a vector over all hosts; every host must ask for it.

        Parameters
        ----------
        vector : tensor, shape (n,)
            This host's, of any type of number.

        Returns
        -------
        tensor, shape (n,)
            The sum, the same on every host.
        """

        def add_up(part: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            # A copy made here lies where the strategy looks for it.
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(part))

        return self._strategy.run(add_up, args=(vector,))

    def from_first(self, content: bytes) -> bytes:
        """Have the first host's content on every host.

        Parameters
        ----------
        content : bytes
            The first host's; of others it does not matter.

        Returns
        -------
        bytes
            The first host's.
        """
        mine = content if self._worker == 0 else b""
        (size,) = self._sum(np.array([len(mine)], np.int32))
        if not size:
            return b""
        padded = np.zeros(size, np.int32)
        padded[: len(mine)] = np.frombuffer(mine, np.uint8)
        return bytes(self._sum(padded).astype(np.uint8).tobytes())

    def meet(self) -> None:
        """Wait until every host has come here."""
        self._sum(np.ones(1, np.int32))

    def _sum(self, numbers: np.ndarray) -> np.ndarray:
        total = tf.function(self.total)
        return np.asarray(total(tf.constant(numbers)).numpy())
