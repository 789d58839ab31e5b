"""Memory for batches: aligned, never shared by two holders, and used again."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from echoanom.buffers import ALIGNMENT, Recycled, aligned

DTYPES = (np.float32, np.bool_, np.int64)


def address(array: np.ndarray) -> int:
    return array.ctypes.data


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple),
    st.sampled_from(DTYPES),
)
def test_arrays_start_where_tensorflow_takes_them_without_a_copy(shape, dtype):
    recycled = Recycled(shape, dtype)
    for array in (aligned(shape, dtype), recycled.take(shape[0])):
        assert array.shape == shape
        assert array.dtype == dtype
        assert array.flags.c_contiguous and array.flags.writeable
        assert address(array) % ALIGNMENT == 0


def test_memory_is_used_again_when_nobody_holds_it():
    recycled = Recycled((1000, 3), np.float32)
    first, second = recycled.take(1000), recycled.take(10)
    places = {address(first), address(second)}
    assert len(places) == 2
    del first, second
    assert address(recycled.take(500)) in places


@pytest.mark.parametrize(
    "hold",
    [
        lambda array: array[3:5],
        lambda array: memoryview(array),
        lambda array: array.reshape(-1).view(np.uint8),
        lambda array: {"deep": [array.T]},
    ],
    ids=["slice", "memoryview", "view", "container"],
)
def test_a_view_holds_the_memory(hold):
    recycled = Recycled((100, 3), np.float32)
    held = hold(recycled.take(100))
    taken = [recycled.take(100) for _ in range(5)]
    places = {address(array) for array in taken}
    assert len(places) == 5
    del held
    gc.collect()
    assert address(recycled.take(100)) not in places


def test_tensors_keep_what_they_were_made_of():
    recycled = Recycled((64, 1000), np.float32)

    def read(position: np.int64) -> np.ndarray:
        array = recycled.take(64)
        array[...] = position
        return array

    stream = (
        tf.data.Dataset.range(40)
        .map(lambda p: tf.numpy_function(read, [p], tf.float32), num_parallel_calls=2)
        .prefetch(4)
    )
    for position, tensor in enumerate(stream):
        assert (tensor.numpy() == position).all()
    kept = list(stream.take(20))
    arrays = list(stream.take(20).as_numpy_iterator())
    for held in (kept, arrays):
        for position, tensor in enumerate(held):
            assert (np.asarray(tensor) == position).all()


def test_one_consumer_needs_a_few_blocks_for_a_whole_epoch():
    recycled = Recycled((64, 1000), np.float32)
    places = set()

    def read(position: np.int64) -> np.ndarray:
        array = recycled.take(64)
        places.add(address(array))
        return array

    stream = tf.data.Dataset.range(200).map(
        lambda p: tf.numpy_function(read, [p], tf.float32)
    )
    for _ in stream.prefetch(2):
        pass
    assert len(places) < 10


def test_blocks_that_were_needed_once_are_let_go():
    recycled = Recycled((10,), np.int64)
    held = [recycled.take(10) for _ in range(100)]
    del held
    recycled.take(10)
    assert len(recycled._blocks) <= 10


def test_threads_never_get_the_same_memory():
    recycled = Recycled((200,), np.int64)
    gate = threading.Barrier(4)

    def work(number: int) -> bool:
        gate.wait()
        alone = True
        for i in range(500):
            array = recycled.take(200)
            array[...] = number * 1000 + i
            alone &= bool((array == number * 1000 + i).all())
        return alone

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
