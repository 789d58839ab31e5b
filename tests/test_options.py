"""Options: refused when made, by name and value, and the same again out of JSON."""

from __future__ import annotations

import dataclasses
import json
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoanom import modeloptions, options
from echoanom.checking import Options
from echoanom.errors import OptionError
from echoanom.modeloptions import ForestOptions, ModelOptions, TrainOptions
from echoanom.options import (
    EventOptions,
    ShardOptions,
    Share,
    StackOptions,
    TableOptions,
    WindowOptions,
    check_placement,
)

CLASSES = [
    TableOptions,
    StackOptions,
    ShardOptions,
    WindowOptions,
    Share,
    ModelOptions,
    TrainOptions,
    ForestOptions,
    EventOptions,
]

DIVISORS = [n for n in range(1, 86_401) if 86_400 % n == 0]
FINITE = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
WHOLE = st.integers(1, 10**9)
TEXTS = st.lists(st.text(), unique=True).map(tuple)
NORMALIZATIONS = st.sampled_from(["range", "standard", "robust"])

VALID: dict[type[Any], dict[str, st.SearchStrategy[Any]]] = {
    TableOptions: {
        "period_s": st.sampled_from(DIVISORS),
        "time_column": st.text(),
        "missing_numbers": st.lists(FINITE).map(tuple),
        "missing_words": TEXTS,
        "duplicates": st.sampled_from(["refuse", "first", "last", "mean"]),
    },
    StackOptions: {
        "sensors": TEXTS,
        "join": st.sampled_from(["outer", "inner", "left"]),
        "max_gap_min": st.floats(0, 1440, exclude_max=True) | st.integers(0, 1439),
    },
    ShardOptions: {
        "dtype": st.sampled_from(["float32", "float16", "int16"]),
        "halo": st.integers(0, 10**9),
        "shard_mib": POSITIVE,
        "record_kib": POSITIVE | WHOLE,
        "codec": st.sampled_from(["none", "zstd"]),
    },
    WindowOptions: {
        "size": WHOLE,
        "stride": WHOLE,
        "batch_size": WHOLE,
        "shuffle": st.booleans(),
        "seed": st.integers(0, 2**63 - 1),
        "drop_remainder": st.booleans(),
        "min_observed": st.floats(0, 1),
    },
    # Drawn one without the other: the first worker is right for any number of them.
    Share: {"worker": st.just(0), "workers": WHOLE},
    # What one kind alone takes is tried in test_closedform and test_encoders.
    ModelOptions: {
        "kind": st.sampled_from(["residual", "autoencoder"]),
        "components": st.none(),
        "trees": st.just(100),
        "samples": st.just(256),
        "filters": st.lists(WHOLE, min_size=1).map(tuple),
        "kernel": WHOLE,
        "dropout": st.floats(0, 1, exclude_max=True),
        "output": st.just("sigmoid"),
        "encoder": st.just("vgg16"),
        "encoder_weights": st.just(""),
        "fine_tune": st.just(False),
        "encoder_filters": st.just(()),
        "encoder_kernel": st.just(0),
        "encoder_digest": st.just(""),
    },
    TrainOptions: {
        "epochs": WHOLE,
        "learning_rate": POSITIVE,
        "normalization": NORMALIZATIONS,
        "validation": st.floats(0, 1, exclude_min=True, exclude_max=True),
        "patience": st.integers(0, 100),
        "calibration_stride": WHOLE,
    },
    ForestOptions: {
        "trees": st.integers(50, 1000),
        "samples": st.integers(3, 2048),
        "seed": st.integers(0, 2**63 - 1),
        "normalization": NORMALIZATIONS,
        "validation": st.floats(0, 1, exclude_min=True, exclude_max=True),
    },
    EventOptions: {
        "threshold": st.text(),
        "merge_gap_min": st.floats(0, 1e300),
        "min_duration_min": st.floats(0, 1e300),
        "top_columns": WHOLE,
        "prune": st.floats(0, 1, exclude_max=True),
    },
}

NOT_WHOLE = [2.5, "3", None, True, float("nan")]
NOT_A_NUMBER = ["3", None, True, float("nan"), float("inf")]

REFUSED: dict[type[Any], dict[str, list[Any]]] = {
    TableOptions: {
        "period_s": [0, -60, 7, 86_401, 172_800, 60.0, "60", None, True],
        "time_column": [None, 0],
        "missing_numbers": [-999.0, ("NA",), [-999.0], (float("nan"),)],
        "missing_words": ["NA", (1,), ["NA"], None],
        "duplicates": ["Refuse", "", None, ["first"]],
    },
    StackOptions: {
        "sensors": ["adcp", ("adcp", "adcp"), ("a", 1), ["adcp"], None],
        "join": ["right", "", None],
        "max_gap_min": [-1, -0.001, 1440, 1e9, *NOT_A_NUMBER],
    },
    ShardOptions: {
        "dtype": ["float64", "int8", "f4", None],
        "halo": [-1, *NOT_WHOLE],
        "shard_mib": [0, -1.0, *NOT_A_NUMBER],
        "record_kib": [0, -1.0, *NOT_A_NUMBER],
        "codec": ["gzip", "", None],
    },
    WindowOptions: {
        "size": [0, -64, *NOT_WHOLE],
        "stride": [0, -1, *NOT_WHOLE],
        "batch_size": [0, -1, *NOT_WHOLE],
        "shuffle": [1, "yes", None],
        "seed": [-1, 2**63, *NOT_WHOLE],
        "drop_remainder": [0, "no", None],
        "min_observed": [-0.1, 1.1, *NOT_A_NUMBER],
    },
    Share: {
        "worker": [-1, 1, *NOT_WHOLE],
        "workers": [0, -1, *NOT_WHOLE],
    },
    ModelOptions: {
        "kind": ["mean", "", None],
        "components": [0, -1, 2.5, "3", True, float("nan")],
        "trees": [0, -1, *NOT_WHOLE],
        "samples": [1, -1, *NOT_WHOLE],
        "filters": [(), (0,), (16, -8), (16, 2.5), ("16",), [16, 8], 16, (True,)],
        "kernel": [0, -4, *NOT_WHOLE],
        "dropout": [-0.1, 1.0, 2, *NOT_A_NUMBER],
        "output": ["relu", "", None],
        "encoder": ["", None, 16],
        "encoder_weights": [None, 3],
        "fine_tune": [1, "yes", None],
        "encoder_filters": [(0,), (16, 2.5), ("16",), [16, 8], 16, (True,)],
        "encoder_kernel": [-1, *NOT_WHOLE],
        "encoder_digest": [None, 3],
    },
    TrainOptions: {
        "epochs": [0, -1, *(value for value in NOT_WHOLE if value is not None)],
        "learning_rate": [0, -1e-3, *NOT_A_NUMBER],
        "normalization": ["minmax", ""],
        "validation": [0, 1, -0.2, 1.5, *NOT_A_NUMBER],
        "patience": [-1, *NOT_WHOLE],
        "calibration_stride": [0, -1, *NOT_WHOLE],
    },
    ForestOptions: {
        "trees": [0, 49, 1001, *NOT_WHOLE],
        "samples": [0, 2, 2049, *NOT_WHOLE],
        "seed": [-1, 2**63, *NOT_WHOLE],
        "normalization": ["minmax", "", None],
        "validation": [0, 1, -0.2, 1.5, *NOT_A_NUMBER],
    },
    EventOptions: {
        "threshold": [3.5, None],
        "merge_gap_min": [-1, *NOT_A_NUMBER],
        "min_duration_min": [-0.5, *NOT_A_NUMBER],
        "top_columns": [0, -3, *NOT_WHOLE],
        "prune": [-0.1, 1, *NOT_A_NUMBER],
    },
}

REFUSALS = [
    pytest.param(found, name, value, id=f"{found.__name__}-{name}-{value!r}")
    for found, names in REFUSED.items()
    for name, values in names.items()
    for value in values
]


def test_every_options_class_and_every_option_is_tried_here() -> None:
    modules = {options.__name__, modeloptions.__name__}
    assert set(CLASSES) == {
        found for found in Options.__subclasses__() if found.__module__ in modules
    }
    for found in CLASSES:
        names = {field.name for field in dataclasses.fields(found)}
        assert names == set(VALID[found]) == set(REFUSED[found])


@pytest.mark.parametrize("found, name, value", REFUSALS)
def test_a_refusal_names_the_option_and_the_value(
    found: type[Any], name: str, value: Any
) -> None:
    with pytest.raises(OptionError) as caught:
        found(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"{name} must be ")
    assert message.endswith(f", got {value!r}")
    assert "\n" not in message


@pytest.mark.parametrize("found, name, value", REFUSALS)
def test_what_is_refused_when_made_is_refused_from_json(
    found: type[Any], name: str, value: Any
) -> None:
    if isinstance(value, list):
        return  # JSON has no tuples, so there a list is right
    with pytest.raises(OptionError, match=name):
        found.from_json({name: value})


@pytest.mark.parametrize("found", CLASSES)
def test_a_choice_that_is_refused_is_told_the_choices(found: type[Any]) -> None:
    types = typing.get_type_hints(found)
    for name, hint in types.items():
        if typing.get_origin(hint) is typing.Literal:
            choices = ", ".join(typing.get_args(hint))
            with pytest.raises(OptionError, match=f"must be one of {choices}, got"):
                found(**{name: "other"})


@pytest.mark.parametrize("found", CLASSES)
def test_defaults_are_valid_and_come_back_from_json(found: type[Any]) -> None:
    assert found.from_json(found().as_json()) == found()
    assert found.from_json({}) == found()


@pytest.mark.parametrize("found", CLASSES)
@given(data=st.data())
def test_all_options_come_back_from_json_text(
    found: type[Any], data: st.DataObject
) -> None:
    made = found(**data.draw(st.fixed_dictionaries({}, optional=VALID[found])))
    text = json.dumps(made.as_json(), allow_nan=False)
    assert found.from_json(json.loads(text)) == made


@pytest.mark.parametrize("found", CLASSES)
def test_an_unknown_option_is_refused_with_the_known(found: type[Any]) -> None:
    known = ", ".join(sorted(field.name for field in dataclasses.fields(found)))
    message = f"^{found.__name__} has no option colour, flavour; it has {known}$"
    with pytest.raises(OptionError, match=message):
        found.from_json({"flavour": 1, "colour": 2})


@pytest.mark.parametrize("value", [None, [], 3, "size"])
def test_json_that_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(OptionError, match="WindowOptions must be an object, got"):
        WindowOptions.from_json(value)


@pytest.mark.parametrize("found", CLASSES)
def test_options_cannot_be_changed_and_can_be_keys(found: type[Any]) -> None:
    made = found()
    name = next(iter(VALID[found]))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, name, None)
    assert {made: 1}[found()] == 1


@pytest.mark.parametrize("found", CLASSES)
def test_every_option_is_documented(found: type[Any]) -> None:
    for field in dataclasses.fields(found):
        assert f"    {field.name} : " in (found.__doc__ or "")


@pytest.mark.parametrize("period_s, rows", [(60, 1440), (1, 86_400), (86_400, 1)])
def test_rows_per_day_fill_the_day(period_s: int, rows: int) -> None:
    assert TableOptions(period_s=period_s).rows_per_day == rows


def test_a_place_that_there_is_not_is_refused() -> None:
    check_placement("device")
    with pytest.raises(OptionError, match="placement must be one of host, device"):
        check_placement("moon")  # type: ignore[arg-type]


def test_a_worker_is_one_of_the_workers() -> None:
    assert Share(3, 4).worker == 3
    with pytest.raises(OptionError, match=r"worker must be less than workers \(4\)"):
        Share(4, 4)
