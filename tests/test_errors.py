"""The errors: their tree, their wording, and their way between processes."""

from __future__ import annotations

import concurrent.futures
import copy
import inspect
import multiprocessing
import pickle
import re

import pytest

from echoanom import errors
from echoanom.errors import (
    ColumnsError,
    DataError,
    EchoanomError,
    InstrumentFileError,
    MetaInfoError,
    MissingExtraError,
    OptionError,
    TableError,
)

CLASSES = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, BaseException)
]

EXAMPLES = [
    TableError("must be a number, got 'x'", path="adcp/2015-01-29.csv"),
    TableError("must be a number, got 'x'", path="a.csv", line=3, column="u_5m"),
    MetaInfoError("must be a count", path="meta_info.txt", line=2),
    ColumnsError("lacks u_5m", path="a.csv"),
    InstrumentFileError("must be whole, got 3 bytes", "cruise.raw"),
    MissingExtraError("the report", "report"),
    *(
        found("what must hold")
        for found in CLASSES
        if not issubclass(found, TableError | InstrumentFileError | MissingExtraError)
    ),
]


def drawn_tree() -> dict[str, str]:
    """Return each class and its base, as the module's docstring draws them."""
    path: list[str] = []
    bases = {}
    assert errors.__doc__ is not None
    for line in errors.__doc__.splitlines():
        if match := re.match(r"    ((?:│   |    )*)(?:[├└]── )?(\w+Error)\b", line):
            branch = "──" in line
            depth = len(match[1]) // 4 + branch
            bases[match[2]] = path[depth - 1] if branch else "Exception"
            path = [*path[:depth], match[2]]
    return bases


def test_the_tree_is_as_drawn() -> None:
    assert drawn_tree() == {
        found.__name__: found.__mro__[1].__name__ for found in CLASSES
    }


def test_every_error_is_an_echoanom_error_and_documented() -> None:
    for found in CLASSES:
        assert issubclass(found, EchoanomError)
        assert inspect.getdoc(found)


def test_a_wrong_option_is_also_a_value_error() -> None:
    assert issubclass(OptionError, ValueError)


def test_table_errors_are_data_errors() -> None:
    assert issubclass(TableError, DataError)


@pytest.mark.parametrize(
    "line, column, where",
    [
        (None, None, "adcp/2015-01-29.csv: "),
        (3, None, "adcp/2015-01-29.csv, line 3: "),
        (None, "u_5m", "adcp/2015-01-29.csv, column 'u_5m': "),
        (3, "u_5m", "adcp/2015-01-29.csv, line 3, column 'u_5m': "),
    ],
)
def test_a_table_error_says_where_and_then_what(
    line: int | None, column: str | None, where: str
) -> None:
    error = TableError(
        "must be a number, got 'x'",
        path="adcp/2015-01-29.csv",
        line=line,
        column=column,
    )
    assert str(error) == where + "must be a number, got 'x'"
    assert (error.line, error.column) == (line, column)


def test_an_awkward_column_name_does_not_break_the_line() -> None:
    error = TableError("must be a number", path="a.csv", column="two\nlines")
    assert "\n" not in str(error)


def test_a_missing_extra_says_what_to_install() -> None:
    error = MissingExtraError("drawing the report", "report")
    assert str(error) == "drawing the report needs: pip install 'echoanom[report]'"


def test_there_is_an_example_of_every_error() -> None:
    assert {type(example) for example in EXAMPLES} == set(CLASSES)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_survives_pickling(error: EchoanomError, protocol: int) -> None:
    back = pickle.loads(pickle.dumps(error, protocol))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_survives_copying(error: EchoanomError) -> None:
    back = copy.copy(error)
    assert type(back) is type(error)
    assert (str(back), vars(back)) == (str(error), vars(error))


def raise_table_error() -> None:
    raise ColumnsError("lacks u_5m", path="a.csv", line=1)


def test_a_worker_process_hands_its_error_over() -> None:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        with pytest.raises(ColumnsError, match="^a.csv, line 1: lacks u_5m$") as caught:
            pool.submit(raise_table_error).result()
    assert caught.value.line == 1
