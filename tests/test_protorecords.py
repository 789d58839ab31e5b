"""SageMaker's records, held against Google's own reading of the schema."""

from __future__ import annotations

import numpy as np
import pytest
from aialgs import Record
from hypothesis import given
from hypothesis import strategies as st

from echoanom.protorecords import encode

FLOATS = st.lists(st.floats(width=32, allow_nan=False), max_size=300)


@given(FLOATS, st.none() | st.sampled_from([0.0, 1.0]), st.text(), st.text())
def test_a_record_is_read_back_as_it_was(values, label, uid, metadata):
    vector = np.array(values, dtype=np.float32)
    found = Record.FromString(encode(vector, label, uid, metadata))
    assert list(found.features) == ["values"]
    assert found.features["values"].WhichOneof("value") == "float32_tensor"
    tensor = found.features["values"].float32_tensor
    np.testing.assert_array_equal(np.array(tensor.values, np.float32), vector)
    assert not tensor.keys and not tensor.shape  # dense
    assert (found.uid, found.metadata) == (uid, metadata)
    labels = [] if label is None else [label]
    assert list(found.label) == ["values"] * len(labels)
    if labels:
        assert list(found.label["values"].float32_tensor.values) == labels


@pytest.mark.parametrize("columns", [1, 25, 30, 31, 32, 127, 4095, 4096, 10_000])
def test_the_bytes_are_those_that_google_writes(columns):
    vector = np.linspace(-1, 1, columns, dtype=np.float32)
    expected = Record(uid="2004-05-19T02:30:00Z")
    expected.features["values"].float32_tensor.values.extend(vector.tolist())
    assert encode(vector, uid=expected.uid) == expected.SerializeToString()


def test_a_vector_of_another_byte_order_or_layout_is_written_alike():
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert encode(rows[:, 1]) == encode(rows[:, 1].copy())
    assert encode(rows[0].astype(">f4")) == encode(rows[0])
