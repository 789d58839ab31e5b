#!/usr/bin/env python3
"""Compare three models: the default, principal components and plain z-scores, on the same days.

Two simulated weeks of four sensors hold 28 anomalies of six kinds. Each model learns from the
first eight days, what was planted left out, and is judged by the last six.
Who loses to `zscore` has nothing::

    python examples/compare_three_models.py --out demo-output/models
"""

from __future__ import annotations

import os

import click
from gallery_picture import Picture, save

from echoanom.cli.console import quiet_tensorflow

LEARNED_DAYS = 8
RULE = "quantile:0.999"


def compare(out: str) -> Picture:
    """Train, score and judge each model, print the measures, and draw them."""
    quiet_tensorflow()
    import echoanom
    from echoanom.comparing import Contender
    from echoanom.comparing import compare as hold_against_labels
    from echoanom.comparisonplot import draw_comparison
    from echoanom.figures import as_png

    source = os.path.join(out, "observatory")
    sea = echoanom.SimulationOptions(days=14, bins=32, seed=0, anomalies=28)
    echoanom.simulate(source, sea)
    stored = echoanom.convert(source, os.path.join(out, "dataset"))
    dataset = echoanom.open_dataset(stored.dataset)
    planted = echoanom.read_labels(os.path.join(source, "labels.csv"))
    begin = int(dataset.times()[0])
    end = begin + LEARNED_DAYS * 86_400

    contenders = []
    for name, network in (
        ("default", echoanom.ModelOptions()),
        ("pca", echoanom.ModelOptions(kind="pca")),
        ("zscore", echoanom.ModelOptions(kind="zscore")),
    ):
        model = echoanom.train(
            dataset,
            os.path.join(out, name),
            echoanom.WindowOptions(size=32, stride=8, batch_size=16, shuffle=True),
            network,
            include=[(begin, end)],
            exclude=[(label.start, label.end) for label in planted],
            overwrite=True,
        )
        table = echoanom.score(
            dataset, model, include=[(end, int(dataset.times()[-1]))]
        )
        echoanom.write_scores(os.path.join(out, f"{name}.csv"), table)
        contenders.append(Contender(name, table, table.threshold(RULE).value))

    compared = hold_against_labels(
        contenders,
        [label for label in planted if label.end > end],
        measures=echoanom.EvaluationOptions(bootstrap=100, block_h=6),
    )
    click.echo("         VUS-PR  labels found  false alarms a day")
    for one in compared:
        judged, by_event = one.evaluation, one.evaluation.by_event
        assert by_event is not None  # because there was a threshold
        found = f"{by_event.found_labels} of {by_event.labels}"
        click.echo(
            f"{one.name:>8}{judged.vus_pr:7.3f}{found:>14}"
            f"{by_event.false_alarms_per_day:20.2f}"
        )
    click.echo(f"scores that say nothing have a VUS-PR of {judged.vus_pr_silent:.3f}")
    picture = os.path.join(out, "models.png")
    return save(picture, as_png(draw_comparison(compared), 90))


@click.command(context_settings={"show_default": True})
@click.option("--out", default="demo-output/models", help="Folder for all files.")
def main(out: str) -> None:
    """Compare three models on two simulated weeks."""
    click.echo(f"see {compare(out).path}")


if __name__ == "__main__":
    main()
