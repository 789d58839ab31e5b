"""Records: TFRecords that TensorFlow reads, and whose damage never goes unseen."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, get_args

import google_crc32c
import numpy as np
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from echoanom import exampleproto
from echoanom.errors import CorruptionError, DataError, TruncatedError
from echoanom.options import Codec, StorageDtype
from echoanom.records import (
    ALIGNMENT,
    HEADER_BYTES,
    TRAILER_BYTES,
    Block,
    check_data,
    check_header,
    decode,
    encode,
    masked_crc,
    scan,
)

DTYPES: tuple[StorageDtype, ...] = get_args(StorageDtype)
START = 1_422_489_600  # 2015-01-29
NAN = float("nan")

SHAPES = st.tuples(st.integers(0, 40), st.integers(1, 9))


def tables(
    elements: st.SearchStrategy[Any],
    shapes: st.SearchStrategy[tuple[int, ...]] = SHAPES,
) -> st.SearchStrategy[Any]:
    return hnp.arrays(np.float32, shapes, elements=elements)


ANY_FLOAT = st.floats(width=32, allow_infinity=False)


def table(rows: int, columns: int) -> NDArray[np.float32]:
    """Return values that float16 holds exactly, some of them missing."""
    values = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    values /= 4
    values.ravel()[::7] = np.nan
    return values


def through(
    block: Block, dtype: StorageDtype = "float32", codec: Codec = "none"
) -> Block:
    record, _ = encode(block, dtype, 0, codec)
    return decode(data_of(record), block.values.shape[1], dtype)


def data_of(record: bytes) -> memoryview:
    return memoryview(record)[HEADER_BYTES:-TRAILER_BYTES]


def framed(data: bytes) -> bytes:
    header = struct.pack("<Q", len(data))
    return (
        header
        + struct.pack("<I", masked_crc(header))
        + data
        + struct.pack("<I", masked_crc(data))
    )


# Round trips


@given(values=tables(ANY_FLOAT), start=st.integers(-(2**63), 2**63 - 1))
@example(values=np.empty((0, 3), np.float32), start=0)
@example(values=np.empty((3, 0), np.float32), start=0)
@example(values=np.full((1, 1), np.nan, np.float32), start=-60)
def test_float32_comes_back_bit_for_bit(
    values: NDArray[np.float32], start: int
) -> None:
    back = through(Block(start, values))
    assert back.start_s == start
    assert back.values.dtype == np.float32
    assert back.values.shape == values.shape
    assert back.values.tobytes() == values.tobytes()


@given(data=st.data(), values=tables(ANY_FLOAT), halo=st.booleans())
def test_filled_cells_and_halo_come_back(
    data: st.DataObject, values: NDArray[np.float32], halo: bool
) -> None:
    filled = data.draw(hnp.arrays(np.bool_, values.shape))
    back = through(Block(START, values, filled, halo))
    assert back.halo is halo
    if filled.any():
        assert back.filled is not None
        assert back.filled.dtype == np.bool_
        assert (back.filled == filled).all()
    else:
        assert back.filled is None


def test_filled_bits_cost_nothing_where_nothing_is_filled() -> None:
    nothing = np.zeros((4, 3), np.bool_)
    with_mask = encode(Block(START, table(4, 3), nothing), "float32", 0)
    assert with_mask == encode(Block(START, table(4, 3)), "float32", 0)


def test_decoded_float32_is_a_view_and_not_a_copy() -> None:
    record = bytearray(encode(Block(START, table(5, 2)), "float32", 0)[0])
    values = decode(data_of(record), 2, "float32").values  # type: ignore[arg-type]
    assert values[-1, -1] == 9 / 4
    record[-TRAILER_BYTES - 4 : -TRAILER_BYTES] = np.float32(77).tobytes()
    assert values[-1, -1] == 77


def test_rows_need_not_lie_together_in_memory() -> None:
    wide = table(6, 8)
    back = through(Block(START, wide[::2, 1::3]))
    np.testing.assert_array_equal(back.values, wide[::2, 1::3])


# float16


@given(values=tables(st.floats(-65504, 65504, width=16) | st.just(NAN)))
def test_float16_keeps_what_fits_it_exactly(values: NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(through(Block(0, values), "float16").values, values)


@given(values=tables(st.floats(-65504, 65504, width=32) | st.just(NAN)))
def test_float16_keeps_eleven_significant_bits(values: NDArray[np.float32]) -> None:
    back = through(Block(0, values), "float16").values
    assert (np.isnan(back) == np.isnan(values)).all()
    subnormal = 2.0**-25  # half the spacing below 6.1e-5
    bound = np.maximum(np.abs(values) * 2.0**-11, subnormal)
    assert (np.abs(back - values) <= bound)[~np.isnan(values)].all()


@pytest.mark.parametrize("value", [65520.0, -65520.0, 1e9, np.inf])
def test_float16_refuses_what_is_too_large_and_names_it(value: float) -> None:
    values = np.array([[1.0], [value], [np.nan]], np.float32)
    with pytest.raises(DataError, match=r"up to 65504, got .*; use float32"):
        encode(Block(0, values), "float16", 0)


# int16


def int16_bound(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the largest error the documentation allows in each column."""
    wide = values.astype(np.float64)
    lowest, highest = np.nanmin(wide, axis=0), np.nanmax(wide, axis=0)
    smallest_step = float(np.finfo(np.float32).smallest_normal)
    step = np.maximum((highest - lowest) / 65534, smallest_step)
    largest = np.maximum(np.abs(lowest), np.abs(highest)).astype(np.float32)
    bound: NDArray[np.float64] = step / 2 + np.spacing(largest)
    return bound


FULL = st.tuples(st.integers(1, 30), st.integers(1, 4))


@pytest.mark.slow
@settings(max_examples=300)
@given(
    values=tables(st.floats(-(2.0**126), 2.0**126, width=32), FULL)
    | tables(st.floats(999.5, 1000.5, width=32), FULL)
    | tables(st.floats(2.0**30, 2.0**30 + 1024, width=32), FULL)
    | tables(st.floats(0, 2.0**-130, width=32), FULL)
)
@example(values=np.array([[1.0], [np.nextafter(np.float32(1), np.float32(2))]]))
@example(values=np.array([[0.0], [1.4e-45]]))
@example(values=np.array([[-1e38], [1e38], [0.1]]))
def test_int16_is_off_by_half_a_step_of_the_columns_own_spread(
    values: NDArray[np.float32],
) -> None:
    values = values.astype(np.float32)
    back = through(Block(0, values), "int16").values.astype(np.float64)
    assert (np.abs(back - values) <= int16_bound(values) * (1 + 1e-9)).all()


@pytest.mark.parametrize("value", [0.0, -0.0, 5.3, -999.25, 1e-45, 3e-39, 1e9, -1e38])
def test_int16_keeps_a_constant_column_exactly(value: float) -> None:
    values = np.full((7, 2), value, np.float32)
    assert (through(Block(0, values), "int16").values == values).all()


def test_int16_gives_every_column_its_own_step() -> None:
    values = np.array([[0.0, -1e6], [0.001, 1e6], [0.0004, 3.0]], np.float32)
    error = np.abs(through(Block(0, values), "int16").values - values)
    assert error[:, 0].max() < 1e-8
    assert 1e-8 < error[:, 1].max() < 16


def test_int16_keeps_missing_cells_and_columns_without_any_value() -> None:
    values = np.array([[NAN, 1.0, NAN], [NAN, NAN, 4.0], [NAN, 2.0, NAN]], np.float32)
    np.testing.assert_array_equal(through(Block(0, values), "int16").values, values)


@pytest.mark.parametrize("rows, columns", [(0, 3), (3, 0), (0, 0), (1, 1)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_empty_blocks_keep_their_shape(
    rows: int, columns: int, dtype: StorageDtype
) -> None:
    block = Block(START, np.ones((rows, columns), np.float32))
    back = through(block, dtype)
    assert back.start_s == START
    np.testing.assert_array_equal(back.values, block.values)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 2e38, -3.4e38])
def test_int16_refuses_what_its_arithmetic_cannot_hold(value: float) -> None:
    values = np.array([[1.0], [value], [np.nan]], np.float32)
    with pytest.raises(DataError, match=r"up to 1e38, got .*; use float32"):
        encode(Block(0, values), "int16", 0)


# Alignment


def payload_at(record: bytes, position: int, size: int) -> int:
    return position + len(record) - TRAILER_BYTES - size


@given(
    position=st.integers(0, 10_000),
    rows=st.integers(1, 70),
    columns=st.integers(1, 20),
    filled=st.booleans(),
    dtype=st.sampled_from(DTYPES),
)
def test_values_start_at_a_multiple_of_64_wherever_the_record_starts(
    position: int, rows: int, columns: int, filled: bool, dtype: StorageDtype
) -> None:
    mask = np.ones((rows, columns), np.bool_) if filled else None
    block = Block(START, np.ones((rows, columns), np.float32), mask)
    record, _ = encode(block, dtype, position)
    size = rows * columns * (4 if dtype == "float32" else 2)
    assert payload_at(record, position, size) % ALIGNMENT == 0


@pytest.mark.parametrize("rows", [1, 27, 28, 29, 30, 31, 32, 4070, 4090, 4096])
def test_every_residue_of_the_position_is_aligned_also_where_lengths_grow(
    rows: int,
) -> None:
    # 27 … 32 and 4070 … 4096 float32 are around 2**7 and 2**14 bytes, where a length
    # takes one byte more.
    values = np.ones((rows, 1), np.float32)
    for position in range(ALIGNMENT):
        record, _ = encode(Block(START, values), "float32", position)
        assert payload_at(record, position, rows * 4) % ALIGNMENT == 0
        np.testing.assert_array_equal(
            decode(data_of(record), 1, "float32").values, values
        )


def test_padding_stays_small() -> None:
    block = Block(START, np.ones((300, 1), np.float32))
    sizes = [len(encode(block, "float32", at)[0]) for at in range(ALIGNMENT)]
    assert max(sizes) - min(sizes) <= 2 * ALIGNMENT


# TensorFlow


def write_file(path: Path, blocks: list[Block], dtype: StorageDtype) -> None:
    content = b""
    for block in blocks:
        content += encode(block, dtype, len(content))[0]
    path.write_bytes(content)


@pytest.mark.parametrize("dtype", DTYPES)
def test_plain_tensorflow_reads_our_files(dtype: StorageDtype, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    filled = np.zeros((5, 3), np.bool_)
    filled[2, 1] = True
    blocks = [
        Block(-60, table(4, 3)),
        Block(START, table(5, 3), filled),
        Block(START + 300, np.full((1, 3), np.nan, np.float32), halo=True),
    ]
    path = tmp_path / "ours.tfrecord"
    write_file(path, blocks, dtype)
    features: dict[str, Any] = {
        "start": tf.io.FixedLenFeature([], tf.int64),
        "rows": tf.io.FixedLenFeature([], tf.int64),
        "halo": tf.io.FixedLenFeature([], tf.int64),
        "values": tf.io.FixedLenFeature([], tf.string),
        "filled": tf.io.FixedLenFeature([], tf.string, ""),
    }
    if dtype == "int16":
        features["scale"] = tf.io.FixedLenFeature([3], tf.float32)
        features["offset"] = tf.io.FixedLenFeature([3], tf.float32)
    found = [
        tf.io.parse_single_example(record, features)
        for record in tf.data.TFRecordDataset(str(path))
    ]
    assert len(found) == len(blocks)
    for block, example_ in zip(blocks, found, strict=True):
        assert example_["start"] == block.start_s
        assert example_["rows"] == len(block.values)
        assert bool(example_["halo"]) is block.halo
        raw = tf.io.decode_raw(example_["values"], getattr(tf, dtype))
        codes = tf.reshape(raw, [-1, 3]).numpy()
        if dtype == "int16":
            scaled = codes * example_["scale"].numpy() + example_["offset"].numpy()
            values = np.where(codes == -32768, np.nan, scaled)
        else:
            values = codes
        np.testing.assert_allclose(values, block.values, rtol=0, atol=1e-4)
        bits = np.frombuffer(example_["filled"].numpy(), np.uint8)
        if block.filled is None:
            assert len(bits) == 0
        else:
            assert (np.unpackbits(bits, count=15).reshape(5, 3) == block.filled).all()


def test_we_read_what_plain_tensorflow_writes(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    values = table(4, 2)
    filled = np.zeros((4, 2), np.bool_)
    filled[3, 0] = True

    def ints(number: int) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[number]))

    def raw(content: bytes) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))

    def floats(numbers: list[float]) -> Any:
        return tf.train.Feature(float_list=tf.train.FloatList(value=numbers))

    path = tmp_path / "theirs.tfrecord"
    common = {"start": ints(-120), "rows": ints(4), "halo": ints(0)}
    with tf.io.TFRecordWriter(str(path)) as writer:
        for extra in (
            {
                "values": raw(values.tobytes()),
                "filled": raw(np.packbits(filled).tobytes()),
            },
            {
                "values": raw(np.arange(8, dtype="<i2").tobytes()),
                "scale": floats([0.5, 2.0]),
                "offset": floats([1.0, -1.0]),
            },
        ):
            features = tf.train.Features(feature={**common, **extra})
            message = tf.train.Example(features=features)
            writer.write(message.SerializeToString())
    data = memoryview(path.read_bytes())
    (first, first_length), (second, second_length) = scan(data, str(path))
    check_data(data, first, first_length, str(path))
    block = decode(data[first + 12 : first + 12 + first_length], 2, "float32")
    assert (block.start_s, block.halo) == (-120, False)
    np.testing.assert_array_equal(block.values, values)
    assert block.filled is not None and (block.filled == filled).all()
    block = decode(data[second + 12 : second + 12 + second_length], 2, "int16")
    expected = [[1, 1], [2, 5], [3, 9], [4, 13]]
    np.testing.assert_array_equal(block.values, np.array(expected, np.float32))


@pytest.mark.parametrize("position", [0, 1, 63])
def test_we_frame_an_example_as_tensorflow_does(position: int, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    record, crc = encode(Block(START, table(3, 2)), "float32", position)
    data = bytes(data_of(record))
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        writer.write(data)
    assert record == (tmp_path / "theirs").read_bytes() == framed(data)
    assert crc == struct.unpack("<I", record[-TRAILER_BYTES:])[0]


def test_the_checksum_is_the_published_castagnoli_one() -> None:
    # RFC 3720, B.4: 32 bytes of zeros have CRC-32C 8a9136aa.
    crc = 0x8A9136AA
    assert google_crc32c.value(bytes(32)) == crc
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert masked_crc(bytes(32)) == masked
    assert masked_crc(bytes(5), memoryview(bytes(27))) == masked


# Damage


@pytest.fixture(scope="module")
def small() -> bytes:
    """Return a file of two small records."""
    first, _ = encode(Block(START, table(2, 2)), "float32", 0)
    second, _ = encode(Block(START + 120, table(3, 2)), "float32", len(first))
    return first + second


def check_file(content: bytes) -> list[tuple[int, int]]:
    data = memoryview(content)
    found = list(scan(data, "small.tfrecord"))
    for offset, length in found:
        check_data(data, offset, length, "small.tfrecord")
    return found


def test_a_whole_file_is_walked_record_by_record(small: bytes) -> None:
    (first, length), (second, last) = check_file(small)
    assert first == 0
    assert second == length + HEADER_BYTES + TRAILER_BYTES
    assert second + last + HEADER_BYTES + TRAILER_BYTES == len(small)


def test_an_empty_file_has_no_record() -> None:
    assert check_file(b"") == []


def test_a_record_without_data_is_one() -> None:
    assert check_file(framed(b"") * 2) == [(0, 0), (16, 0)]


def test_a_file_cut_anywhere_ends_inside_a_record(small: bytes) -> None:
    boundary = check_file(small)[1][0]
    for size in range(1, len(small)):
        if size == boundary:
            assert len(check_file(small[:size])) == 1
            continue
        begun = 0 if size < boundary else boundary
        message = f"ends at byte {size}, inside the record at byte {begun}$"
        with pytest.raises(TruncatedError, match=message):
            check_file(small[:size])


def test_every_flipped_bit_is_found_and_located(small: bytes) -> None:
    records = check_file(small)
    for at in range(len(small)):
        offset, length = records[0] if at < records[1][0] else records[1]
        within = at - offset
        what = "length" if within < HEADER_BYTES else "data"
        message = f"^small.tfrecord: the record at byte {offset} has (a )?{what} "
        for bit in range(8):
            damaged = bytearray(small)
            damaged[at] ^= 1 << bit
            with pytest.raises(CorruptionError, match=message) as caught:
                check_file(bytes(damaged))
            assert not isinstance(caught.value, TruncatedError)


def test_a_length_beyond_the_file_is_not_allocated_but_refused() -> None:
    header = struct.pack("<Q", 2**62)
    lie = header + struct.pack("<I", masked_crc(header)) + bytes(100)
    with pytest.raises(TruncatedError, match="inside the record at byte 0"):
        check_header(memoryview(lie), 0, "lie.tfrecord")


def test_a_record_in_the_middle_is_checked_alone(small: bytes) -> None:
    (_, _), (offset, length) = check_file(small)
    damaged = bytearray(small)
    damaged[0] ^= 1
    data = memoryview(bytes(damaged))
    assert check_header(data, offset, "small.tfrecord") == length
    crc = check_data(data, offset, length, "small.tfrecord")
    assert crc == struct.unpack("<I", small[-4:])[0]


def example_with(**changes: bytes | None) -> memoryview:
    """Return an Example of 2 × 2 float32 with features replaced or left out."""
    block = Block(START, np.ones((2, 2), np.float32), np.ones((2, 2), np.bool_))
    features = {
        "start": exampleproto._list(block.start_s),
        "rows": exampleproto._list(2),
        "halo": exampleproto._list(0),
        "filled": exampleproto._list(b"\xf0"),
        "values": exampleproto._list(block.values.tobytes()),
        **changes,
    }
    entries = [
        exampleproto.message(
            1,
            exampleproto.message(1, name.encode()) + exampleproto.message(2, feature),
        )
        for name, feature in features.items()
        if feature is not None
    ]
    return memoryview(exampleproto.message(1, b"".join(entries)))


def compressed(size: int) -> bytes:
    return zstandard.ZstdCompressor().compress(bytes(size))


def malformed_examples() -> dict[str, memoryview]:
    ints = raw = exampleproto._list
    field = exampleproto.message
    name = field(1, field(1, b"rows"))
    return {
        "nothing": memoryview(b""),
        "noise": memoryview(bytes(range(256))),
        "not an Example": memoryview(field(2, b"")),
        "no features": memoryview(field(1, b"")),
        "two sets of features": memoryview(bytes(example_with()) * 2),
        "cut in a feature": example_with()[:-1],
        "a feature without content": memoryview(field(1, name)),
        "a feature name that is no UTF-8": memoryview(
            field(1, field(1, field(1, b"\xff") + field(2, ints(2))))
        ),
        "an endless varint": memoryview(b"\xff" * 40),
        "a varint that never ends": example_with(rows=field(3, field(1, b"\x80"))),
        "no values": example_with(values=None),
        "no rows": example_with(rows=None),
        "no start": example_with(start=None),
        "no halo": example_with(halo=None),
        "values of another type": example_with(values=ints(3)),
        "two values": example_with(values=field(1, field(1, b"a") + field(1, b"b"))),
        "a byte too few": example_with(values=raw(bytes(15))),
        "a row too many": example_with(values=raw(bytes(24))),
        "more rows than values": example_with(rows=ints(3)),
        "negative rows": example_with(rows=ints(-1)),
        "rows beyond memory": example_with(rows=ints(2**62)),
        "too few filled bits": example_with(filled=raw(b"")),
        "too many filled bits": example_with(filled=raw(b"\xf0\x00")),
        "compressed values that are none": example_with(zstd=raw(b"noise")),
        "compressed values that are cut": example_with(zstd=raw(compressed(16)[:-1])),
        "too few compressed values": example_with(zstd=raw(compressed(12))),
        "compressed values of no stated size": example_with(
            zstd=raw(zstandard.ZstdCompressor(write_content_size=False).compress(b""))
        ),
        "more compressed values than memory": example_with(
            rows=ints(2**40), zstd=raw(compressed(16))
        ),
    }


@pytest.mark.parametrize("name", malformed_examples())
def test_an_example_is_refused_if_it_has(name: str) -> None:
    data = malformed_examples()[name]
    with pytest.raises(CorruptionError, match="must be an Example of 2 float32 col"):
        decode(data, 2, "float32")


@pytest.mark.parametrize("feature", ["scale", "offset"])
@pytest.mark.parametrize("count", [None, 0, 1, 3])
def test_int16_is_refused_without_a_step_and_an_offset_for_each_column(
    feature: str, count: int | None
) -> None:
    two = exampleproto._list(np.ones(2, np.float32))
    wrong = None if count is None else exampleproto._list(np.ones(count, np.float32))
    values = exampleproto._list(np.zeros((2, 2), "<i2").tobytes())
    features = {"scale": two, "offset": two, "values": values, feature: wrong}
    with pytest.raises(CorruptionError, match="must be an Example of 2 int16 columns"):
        decode(example_with(**features), 2, "int16")


def test_the_well_formed_example_beside_the_malformed_is_taken() -> None:
    block = decode(example_with(), 2, "float32")
    assert (block.values == 1).all()
    assert block.filled is not None and block.filled.all()


@pytest.mark.parametrize("dtype", DTYPES)
@given(values=tables(st.floats(-60000, 60000, width=32) | st.just(NAN)))
def test_compression_changes_no_bit(
    dtype: StorageDtype, values: NDArray[np.float32]
) -> None:
    filled = np.isnan(values)
    plain = through(Block(START, values, filled), dtype)
    found = through(Block(START, values, filled), dtype, "zstd")
    assert found.values.tobytes() == plain.values.tobytes()
    assert found.start_s == plain.start_s
    if filled.any():
        np.testing.assert_array_equal(found.filled, plain.filled)


def test_what_repeats_itself_is_stored_in_little_space() -> None:
    block = Block(START, np.tile(table(1, 50), (200, 1)))
    sizes = [len(encode(block, "float32", 0, codec)[0]) for codec in ("none", "zstd")]
    assert sizes[1] < 0.05 * sizes[0]


def test_a_compressed_record_is_decompressed_as_its_description_says() -> None:
    values = table(5, 3)
    record, _ = encode(Block(START, values), "float32", 0, "zstd")
    content = exampleproto.as_bytes(exampleproto.parse(data_of(record))["zstd"])
    planes = zstandard.ZstdDecompressor().decompress(bytes(content))
    numbers = np.frombuffer(planes, np.uint8).reshape(4, -1).T.copy().view("<f4")
    np.testing.assert_array_equal(numbers.reshape(values.shape), values)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_wrong_number_of_columns_is_refused(dtype: StorageDtype) -> None:
    record, _ = encode(Block(START, table(4, 3)), dtype, 0)
    with pytest.raises(CorruptionError, match=f"an Example of 5 {dtype} columns"):
        decode(data_of(record), 5, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_damaged_example_raises_nothing_but_corruption(dtype: StorageDtype) -> None:
    filled = np.zeros((3, 2), np.bool_)
    filled[0, 0] = True
    record, _ = encode(Block(-5, table(3, 2), filled), dtype, 0)
    whole = bytes(data_of(record))
    for at in range(len(whole)):
        with pytest.raises(CorruptionError):
            decode(memoryview(whole[:at]), 2, dtype)
        for byte in (0x00, 0x01, 0x7F, 0x80, 0xFF, whole[at] ^ 0x08):
            damaged = bytearray(whole)
            damaged[at] = byte
            # A damaged scale can be infinite; that is for the checksum to find.
            with np.errstate(all="ignore"):
                try:
                    decode(memoryview(bytes(damaged)), 2, dtype)
                except CorruptionError:
                    pass
