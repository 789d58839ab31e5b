"""The table of contents is complete, resolvable and documented."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
from pathlib import Path

import pytest

import echoanom

STUB = Path(echoanom.__file__).with_suffix(".pyi")


def stub_names() -> list[str]:
    names = []
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.asname == alias.name, "re-exports are written `x as x`"
                names.append(alias.name)
    return names


def test_all_is_what_the_stub_promises() -> None:
    assert sorted(echoanom.__all__) == sorted(stub_names())
    assert set(echoanom.__all__) <= set(dir(echoanom))


@pytest.mark.parametrize("name", sorted(stub_names()))
def test_a_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(echoanom, name)
    assert value.__module__.startswith("echoanom.")
    assert inspect.getdoc(value)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError):
        echoanom.no_such_name  # noqa: B018


def test_the_version_is_the_installed_one() -> None:
    assert echoanom.__version__ == importlib.metadata.version("echoanom")


def test_the_changelog_has_the_version() -> None:
    changelog = Path(__file__).resolve().parent.parent / "CHANGELOG.md"
    assert f"## [{echoanom.__version__}]" in changelog.read_text()
