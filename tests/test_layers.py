"""Data walk down: a module imports only what stands above it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import echoanom

PACKAGE = Path(echoanom.__file__).parent

# From top to bottom; within a layer, from left to right.
LAYERS = (
    "errors redaction hashing checking options modeloptions columns progress retries"
    " s3errors s3requests multipart unwaited partstream objects"
    " tfiosource storage cachefolder arrival cache publishing stamps tablewriting",
    "simulation",
    "bulkcells cells parquetcells averaging merging daily discovery fetching",
    "coverage filling stacking",
    "ingest",
    "exampleproto protorecords packing records statistics normalization",
    "manifest versions identities planning distributed connecting dataset buffers"
    " rowstore shardmaps reader verification inspection",
    "sources shards making conversion",
    "windowing rowspans framing pool recordio recordstream streaming dealing batching",
    "devicerows pydataset pipeline",
    "texttable alarmrates rules thresholds scores labels"
    " stretches ranking vus affiliation bootstrap standstill",
    "principal isolation cutforest autoencoder fixedlayers residual pretrained networks"
    " weighing weighed serving cellerrors detectors history artifact encoders folding"
    " scoreparts windowerrors scorework scoring spreads holdout forestrows forest checkpoints"
    " resuming feeding parallel epochs fitting closedform training",
    "panels whereabouts pruning events outageoptions outages"
    " eventmeasures evaluationoptions judging evaluation comparing",
    "timegrid binaxis palette marks plots reconstruction figures reportoptions"
    " imagecodes tracks livemodels livecharts livefigures pagetext pagefacts"
    " pagesources daycalendar livepage page reportindex report"
    " plotoptions dayflags dayrows dayplots comparisonplot",
    "testing",
    "cloud",
    "cli __main__",
)
ORDER = {
    name: (layer, place)
    for layer, names in enumerate(LAYERS)
    for place, name in enumerate(names.split())
}
# Slow to import, or optional: only inside functions, or in modules that are themselves
# imported inside functions.
HEAVY = (
    *("tensorflow", "keras", "matplotlib", "jinja2", "sklearn", "scipy", "polars"),
    *("distributed", "dask", "sagemaker", "waitress", "krcf", "bokeh"),
    *("echopype", "xarray", "netCDF4", "soundfile", "ioos_qc"),
)
HEAVY_AT_TOP = {
    "devicerows": {"tensorflow"},
    "pydataset": {"keras"},
    "pipeline": {"tensorflow"},
    "autoencoder": {"keras"},
    "fixedlayers": {"keras"},
    "residual": {"keras"},
    "pretrained": {"keras"},
    "networks": {"keras"},
    "weighed": {"tensorflow"},
    "serving": {"tensorflow", "keras"},
    "cellerrors": {"tensorflow", "keras"},
    "detectors": {"keras"},
    "closedform": {"keras"},
    "artifact": {"tensorflow", "keras"},
    "scorework": {"tensorflow"},
    "checkpoints": {"keras"},
    "resuming": {"keras"},
    "feeding": {"tensorflow"},
    "parallel": {"tensorflow", "keras"},
    "fitting": {"tensorflow", "keras"},
    "training": {"keras"},
    "cloud": {"tensorflow", "keras"},
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def unit(path: Path) -> str:
    """Name what a file belongs to: its module, or its package below echoanom."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the full names that a module imports, and the lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


@pytest.mark.parametrize(
    "path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix()
)
def test_a_module_imports_only_what_stands_above_it(path: Path) -> None:
    name = unit(path)
    if name == "__init__":
        pytest.skip("the table of contents names everything")
    assert name in ORDER, f"{name} must have a place in LAYERS"
    for full, line in imported(ast.parse(path.read_text())):
        parts = full.split(".")
        if parts[0] != "echoanom" or parts[1:2] in ([], [name], ["__version__"]):
            continue
        assert ORDER[parts[1]] < ORDER[name], f"{path}:{line} imports {full}"


@pytest.mark.parametrize(
    "path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix()
)
def test_heavy_packages_are_imported_where_they_are_used(path: Path) -> None:
    top = [
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    found = {
        full.split(".")[0]
        for node in top
        for full, _ in imported(ast.Module([node], []))
    }
    heavy = found.intersection(HEAVY)
    assert heavy <= HEAVY_AT_TOP.get(unit(path), set())


def test_every_module_of_the_list_exists() -> None:
    assert set(ORDER) <= {unit(path) for path in modules()}


def loaded_after(statement: str) -> set[str]:
    """Return the top-level packages that are loaded after a statement."""
    program = (
        f"{statement}\nimport sys\nprint(*{{m.split('.')[0] for m in sys.modules}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_starting_a_job_elsewhere_loads_no_tensorflow() -> None:
    loaded = loaded_after("import echoanom.cloud.trainingplan, echoanom.cloud.jobs")
    assert not loaded.intersection(("tensorflow", "keras", "sagemaker", "matplotlib"))


def test_importing_echoanom_loads_nothing_heavy() -> None:
    loaded = loaded_after("import echoanom")
    assert not loaded.intersection((*HEAVY, "numpy", "pandas", "fsspec", "click"))


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"]]
    + [[command, "--help"] for command in ("convert", "train", "score", "report")],
    ids=" ".join,
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    loaded = loaded_after(f"from echoanom.cli import main; main({arguments!r})")
    assert not loaded.intersection((*HEAVY, "pandas", "fsspec", "rich"))
