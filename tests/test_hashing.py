"""The hash of a file is that of its content, read whole or from somewhere on."""

from __future__ import annotations

from pathlib import Path

import pytest
import xxhash

from echoanom.hashing import hash_file


@pytest.mark.parametrize("size", [0, 1, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, 1 << 20])
def test_a_hash_is_that_of_the_content(tmp_path: Path, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    path = tmp_path / "file"
    path.write_bytes(content[:size])
    with open(path, "rb", buffering=0) as file:
        assert hash_file(file) == (size, xxhash.xxh3_128_hexdigest(content[:size]))


def test_what_was_read_before_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"head and rest")
    with open(path, "rb") as file:
        file.seek(5)
        assert hash_file(file) == (8, xxhash.xxh3_128_hexdigest(b"and rest"))
