"""A NetCDF file of a classic format that ends too early is refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from adcpfiles import profiles, refusal, write

from echoanom.errors import InstrumentFileError
from echoanom.ingest.classicnetcdf import require_whole

FORMATS = ("NETCDF3_CLASSIC", "NETCDF3_64BIT", "NETCDF3_64BIT_DATA")
CASES = list(itertools.product(FORMATS, [None, ["time"]], [("u", "v"), ("u",)]))


@pytest.mark.parametrize(("form", "unlimited", "names"), CASES)
def test_a_whole_file_passes_and_any_shorter_one_does_not(
    tmp_path: Path, form: str, unlimited: list[str] | None, names: tuple[str, ...]
) -> None:
    dataset = profiles(5, names=names).astype("int16")
    if len(names) == 1:
        # A single variable along records has no padding.
        dataset = dataset[["u"]].drop_vars(["time", "range"])
    path = write(dataset, tmp_path / "a.nc", format=form, unlimited_dims=unlimited)
    require_whole(path, path)
    content = Path(path).read_bytes()
    short = tmp_path / "short.nc"
    last = [len(content) - cut for cut in (1, 2, 3, 4, 5)]
    # What pads the last variable to four bytes may be missing.
    for size in [*range(4, len(content) - 4, 7), *last[3:]]:
        short.write_bytes(content[:size])
        with pytest.raises(InstrumentFileError, match="copy the file again"):
            require_whole(str(short), str(short))


def test_what_is_missing_would_read_as_zeros(tmp_path: Path) -> None:
    import xarray as xr

    path = write(profiles(50), tmp_path / "a.nc", format="NETCDF3_CLASSIC")
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: len(content) - 900])
    with xr.open_dataset(path, engine="netcdf4", decode_times=False) as dataset:
        values = [dataset[name].values for name in dataset.variables]
    assert any((value[-1] == 0).all() for value in values)
    assert "bytes that its header tells of" in refusal(path)


def test_other_formats_pass(tmp_path: Path) -> None:
    path = write(profiles(), tmp_path / "a.nc")
    require_whole(path, path)
