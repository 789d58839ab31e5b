"""What made a page: versions, data, model and options, so that it can be made again."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from echoanom import pagetext
from echoanom.checking import Options
from echoanom.dataset import Dataset
from echoanom.scores import ScoreTable

if TYPE_CHECKING:
    from echoanom.artifact import Artifact

_PACKAGES = ("numpy", "matplotlib", "bokeh", "tensorflow", "keras")


def sources(
    dataset: Dataset, table: ScoreTable, artifact: Artifact | None, options: Options
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Say what made a page.

    Parameters
    ----------
    dataset : Dataset
        What was scored.
    table : ScoreTable
        The scores.
    artifact : Artifact or None
        The model.
    options : Options
        Those of the page.

    Returns
    -------
    list of (str, list of (str, str))
        Headings, each with names and values.
    """
    manifest = dataset.manifest
    groups: list[tuple[str, Mapping[str, Any]]] = [
        (
            "Software",
            {
                "echoanom": _version("echoanom"),
                "Python": platform.python_version(),
                **{name: _version(name) for name in _PACKAGES},
            },
        ),
        ("Dataset", {"path": dataset.path, "digest": dataset.digest}),
        ("Tables", manifest.table.as_json()),
        ("Join", manifest.stack.as_json()),
        ("Storage", manifest.shard.as_json()),
    ]
    if artifact is not None:
        record = artifact.record
        groups += [
            (
                "Model",
                {
                    "path": artifact.path,
                    "digest": artifact.digest,
                    "trained on": record.dataset_path,
                    "trained on digest": record.dataset_digest,
                    "training days": pagetext.days(record.training_days),
                    "held-back days": pagetext.days(record.validation_days),
                },
            ),
            ("Network", artifact.network.as_json()),
            ("Windows", artifact.window.as_json()),
            ("Training", artifact.training.as_json()),
        ]
    groups += [
        (f"Scores: {name}", values)
        for name, values in table.provenance.items()
        if isinstance(values, Mapping)
    ]
    groups.append(("Report", options.as_json()))
    return [
        (name, [(key, pagetext.plain_value(value)) for key, value in values.items()])
        for name, values in groups
    ]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
