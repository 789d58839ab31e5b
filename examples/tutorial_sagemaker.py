# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,-all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The tutorial's second half: SageMaker
#
# An autoencoder is trained from a bucket in Pipe mode, found again by the name of its job,
# served, called, run over daily tables in a batch, compared with a Random Cut Forest, and
# removed again, with nothing left that costs money.
#
# It runs on this machine as it stands. A real S3 server and a stand-in for SageMaker play
# AWS; training jobs, endpoints and transforms are processes that do the same work. With one
# argument it runs on AWS:
#
# ```sh
# python examples/tutorial_sagemaker.py
# python examples/tutorial_sagemaker.py --bucket s3://my-bucket
# ```
#
# In the notebook that argument is `BUCKET`. Credentials and region are those of every AWS
# tool. The role is the one this runs with; who has none, such as a user with keys, names one
# by `--role` or `ROLE`.
#
# ## What it costs on AWS
#
# Prices are list prices of us-east-1 for an hour, without tax: check them on
# <https://aws.amazon.com/sagemaker/ai/pricing/> before you start. All are paid by the second.
# The minutes are what each step usually takes, mostly to start a machine.
#
# | step | machine | price per hour | minutes | until |
# |---|---|---|---|---|
# | training job | 1 × `ml.m5.xlarge` | $0.23 | 5 | it ends by itself |
# | endpoint | 1 × `ml.c5.xlarge` | $0.20 | 20 | **it is deleted** |
# | batch transform | 1 × `ml.c5.xlarge` | $0.20 | 6 | it ends by itself |
# | objects in S3 | some MB | | | they are deleted |
#
# Together less than half a dollar. An endpoint that is forgotten costs $150 a month: the last
# step deletes it, and so does `echoanom sagemaker delete echoanom-tutorial`.

# %% [markdown]
# ## Parameters
#
# All that may be chosen is here.

# %% tags=["parameters"]
from pathlib import Path

from echoanom.modeloptions import ForestOptions

HERE = Path(globals().get("__file__", "tutorial_sagemaker.ipynb")).resolve().parent

BUCKET = ""  # s3://my-bucket runs it on AWS; empty: everything on this machine
ROLE = ""  # ARN of the role that SageMaker takes on; empty: the one this runs with
NAME = "echoanom-tutorial"  # of the endpoint; take your own in an account you share

DATA = HERE / "data"  # daily tables in <sensor>/tabular, and labels.csv
SENSOR, QUANTITY = "adcp", "echo"  # what is drawn
PERIOD_S = 900  # from row to row [s]
OUT = HERE.parent / "demo-output" / "sagemaker"  # gets the picture

HYPERPARAMETERS = {
    "window": 16,
    "stride": 1,
    "batch-size": 32,
    "epochs": 6,
    "learning-rate": 0.003,
    "seed": 0,
}
THRESHOLD = "mean+2std"
FOREST = ForestOptions(trees=50, samples=256, seed=0)
TRAINING_MACHINE = "ml.m5.xlarge"
SERVING_MACHINE = "ml.c5.xlarge"
HOURLY = {TRAINING_MACHINE: 0.23, SERVING_MACHINE: 0.204}  # [$], to be checked

# %% tags=["active-py"]
import argparse

parser = argparse.ArgumentParser(description="Walk through SageMaker, and clean up.")
parser.add_argument("--bucket", default=BUCKET, help="s3://... runs it on AWS")
parser.add_argument("--role", default=ROLE, help="the ARN of SageMaker's role")
parser.add_argument("--name", default=NAME, help="of the endpoint")
parser.add_argument("--epochs", type=int, default=HYPERPARAMETERS["epochs"])
parser.add_argument("--out", type=Path, default=OUT, help="gets the picture")
asked = parser.parse_args()
BUCKET, ROLE, NAME, OUT = asked.bucket.rstrip("/"), asked.role, asked.name, asked.out
HYPERPARAMETERS["epochs"] = asked.epochs

# %% [markdown]
# ## The other side
#
# Either AWS, or a server and a stand-in on this machine, which end with this process. They
# are found by the same variables that lead any AWS tool elsewhere; from here on nothing
# asks which of the two it is.

# %%
import contextlib
import os

from echoanom.cloud.clients import Cloud
from echoanom.cloud.joboptions import AccountOptions
from echoanom.cloud.standin import standin
from echoanom.testing.s3server import s3_server

here = contextlib.ExitStack()
if not BUCKET:
    server = here.enter_context(s3_server())
    os.environ.update(server.environment())
    os.environ.update(here.enter_context(standin()).environment())
    BUCKET, ROLE = server.make_bucket(NAME), "arn:aws:iam::000000000000:role/stand-in"
elif not ROLE:
    from sagemaker.core.helper.session_helper import get_execution_role

    ROLE = get_execution_role()

cloud = Cloud()
account = AccountOptions(role=ROLE)
folder = f"{BUCKET}/{NAME}"
print(f"{folder} in {cloud.region}, as {ROLE.rpartition('/')[2]}")

# %% [markdown]
# What is started is written down, so that it can be ended from one place. The script does it
# also when it fails midway.

# %%
from echoanom.cloud.running import list_running, stop_running

started: list[str] = []


def end_what_was_started() -> list[str]:
    """End all of it that still runs, and tell what that was."""
    running = [one.name for one in list_running(cloud) if one.name in started]
    return [gone for name in running for gone in stop_running(name, cloud=cloud)]


# %% tags=["active-py"]
import sys


def end_and_tell(kind, error, trace) -> None:
    """Tell what went wrong as ever, and leave nothing that costs money."""
    sys.__excepthook__(kind, error, trace)
    if started:
        print("ended:", *end_what_was_started(), sep="\n  ", file=sys.stderr)
    here.close()


sys.excepthook = end_and_tell

# %% [markdown]
# ## Put the data into the bucket
#
# The instrument lay on deck for its first hours. The model is to learn what is usual, so its
# dataset begins on the first day after these. The whole record is a dataset of its own, to be
# scored. Shards carry a halo: the rows that end the windows which begin in them.

# %%
import datetime

from echoanom import (
    Dataset,
    ShardOptions,
    TableOptions,
    convert,
    objects,
    open_dataset,
    read_labels,
)

labels = read_labels(str(DATA / "labels.csv"))
unusual = [(label.start, label.end) for label in labels]
first_day = datetime.datetime.fromtimestamp(
    max(label.end for label in labels), datetime.UTC
).date() + datetime.timedelta(days=1)
tables = sorted((DATA / SENSOR / "tabular").glob("*.csv"))


def put_dataset(name: str, first: datetime.date | None = None) -> Dataset:
    """Convert the daily tables into the bucket, a shard a day."""
    report = convert(
        str(DATA),
        f"{folder}/{name}",
        table=TableOptions(period_s=PERIOD_S),
        sharding=ShardOptions(halo=HYPERPARAMETERS["window"] - 1, shard_mib=0.01),
        first=first,
    )
    dataset = open_dataset(report.dataset)
    print(
        f"{name}: {dataset.rows} rows, {len(dataset.columns)} columns,"
        f" {len(dataset.manifest.shards)} shards"
    )
    return dataset


usual = put_dataset("usual", first=first_day)
record = put_dataset("record")
for table in tables:
    objects.upload(f"{folder}/days/{table.name}", str(table))

# %% [markdown]
# ## Train in Pipe mode
#
# In each epoch the service streams the shards into a pipe that the job reads once. The plan
# has the request and all objects that the job needs: its code, and lists of shards.
# `MachineOptions` also has `instance_count` and `spot`.

# %%
import re

from echoanom.cli.console import quiet_tensorflow

quiet_tensorflow()

from echoanom.cloud import jobs
from echoanom.cloud.hyperparameters import parse_hyperparameters
from echoanom.cloud.images import image_uri
from echoanom.cloud.joboptions import (
    TRAINING_TENSORFLOW,
    ChannelOptions,
    MachineOptions,
)
from echoanom.cloud.requests import Places
from echoanom.cloud.trainingplan import plan_training


def say(line: str) -> None:
    """Print states and epochs, and leave out what libraries log."""
    if re.match("[A-Z][a-z]+: |epoch=|echoanom", line):
        print(line)


plan = plan_training(
    usual,
    parse_hyperparameters(HYPERPARAMETERS),
    Places(f"{folder}/jobs", jobs.new_name(NAME)),
    image=image_uri("training", TRAINING_TENSORFLOW, cloud.region, TRAINING_MACHINE),
    region=cloud.region,
    channels=ChannelOptions("Pipe"),
    machine=MachineOptions(TRAINING_MACHINE, max_runtime_s=3600),
    account=account,
)
job = jobs.start_training(plan, cloud)
started.append(job.name)
status = job.wait(say)
cost = status.billable_s / 3600 * HOURLY[TRAINING_MACHINE]
print(f"{job.name}: {status.status}; {status.billable_s} s would be ${cost:.3f} on AWS")
print(*(f"{name} = {value:.4g}" for name, value in status.metrics.items()), sep=", ")

# %% [markdown]
# The job's name is all that is needed to come back to it, from anywhere and at any time:
# state, and the model's URI.

# %%
job = jobs.attach(job.name, Cloud())
model = job.model_url()
print(f"{job.name} left {model}")

# %% [markdown]
# ## Deploy
#
# **From here on money is spent until the endpoint is deleted.** Asked for a second time, the
# endpoint that is there is found and used.

# %%
from echoanom.cloud import endpoints
from echoanom.cloud.joboptions import SERVING_TENSORFLOW, HostingOptions

serving = image_uri("inference", SERVING_TENSORFLOW, cloud.region, SERVING_MACHINE)
started.append(NAME)
for _ in range(2):
    endpoint = endpoints.deploy(
        NAME, model, serving, HostingOptions(SERVING_MACHINE), account, cloud=cloud
    )
    print(f"endpoint {endpoint.name}: {endpoint.outcome}, {endpoint.status}")

# %% [markdown]
# What runs, and since when; an endpoint, too, is found by its name.

# %%
for one in list_running(cloud):
    print(f"{one.kind} {one.name}: {one.status}, {one.machines}, since {one.since}")
found = endpoints.describe_endpoint(NAME, Cloud())
print(f"{NAME} is {found['EndpointStatus']} with {found['EndpointConfigName']}")

# %% [markdown]
# ## Call it: a day in one request
#
# The tutorial sends each window by itself: 1,432 requests for a day of minutes. Here all rows
# go at once, and are cut into windows where the model is. Both ways, on the same endpoint:

# %%
import time

import numpy as np
import pandas as pd

from echoanom.cloud import predictions

table = DATA / SENSOR / "tabular" / f"{first_day}.csv"
begin = time.perf_counter()
day = predictions.predict_file(NAME, str(table), cloud=cloud)
at_once_s = time.perf_counter() - begin

values = pd.read_csv(table).iloc[:, 1:].to_numpy(np.float32)
begin = time.perf_counter()
errors = [
    predictions.predict_rows(
        NAME, values[i : i + day.window], cloud=cloud
    ).window_score[0]
    for i in range(len(values) - day.window + 1)
]
one_by_one_s = time.perf_counter() - begin

np.testing.assert_allclose(day.window_score[: len(errors)], errors, rtol=1e-4)
print(
    f"{table.stem}, {len(values)} rows at once: {day.requests} request, {at_once_s:.2f} s;"
    f"\nwindow by window: {len(errors)} requests, {one_by_one_s:.2f} s, for the same errors"
)

# %% [markdown]
# ## Reconstruction error of every row, and a threshold
#
# The answer has the error of the window that starts at a row (the tutorial's), and the mean
# of all windows that cover it, which is used here. The threshold is mean + 2 standard
# deviations of the days that the model learned from; the tutorial takes them of the day that
# it judges, where an anomaly raises its own threshold.

# %%
from echoanom import ScoreTable
from echoanom.thresholds import Calibration

scored = predictions.predict_dataset(NAME, record, cloud=cloud)
times = scored.times.astype(np.int64)
known = times >= int(usual.times()[0])
autoencoder = ScoreTable(
    times=times,
    score=scored.score,
    window_score=scored.window_score,
    windows=scored.windows,
    period_s=PERIOD_S,
    calibration=Calibration.from_scores(scored.score[known]),
)
threshold = autoencoder.threshold(THRESHOLD).value
above = scored.score > threshold
print(
    f"{len(times)} rows, requests: {scored.requests}; {THRESHOLD} = {threshold:.4f};"
    f" {above.sum()} rows are above it, {(above & known).sum()} of them usual ones"
)

# %% [markdown]
# The picture: echo intensity over range, the score over it, and a dot where it is above the
# threshold.

# %%
import matplotlib.pyplot as plt

from echoanom.palette import STYLE, VERMILION
from echoanom.panels import find_panels
from echoanom.plots import draw_bins
from echoanom.timegrid import choose_grid, read_grid

panel = next(
    one
    for one in find_panels(record.columns)
    if (one.sensor, one.quantity) == (SENSOR, QUANTITY)
)
grid = choose_grid(int(times[0]), int(times[-1]) + PERIOD_S, PERIOD_S, most_steps=2000)
levels = read_grid(record, grid)[:, list(panel.positions)]
middle = (times + PERIOD_S / 2) / 86_400  # [d since 1970], as the drawings have it

with plt.rc_context(STYLE):
    figure, axes = plt.subplots(figsize=(10, 3.2), layout="constrained")
    draw_bins(axes, panel, grid.edges, panel.coordinates, levels)
    over = axes.twinx()
    over.set(yscale="log", ylabel="Error")
    over.plot(middle, scored.score, color="white")
    over.axhline(threshold, color="white", linestyle="--", label=THRESHOLD)
    over.plot(middle[above], scored.score[above], "o", markersize=3, color=VERMILION)
OUT.mkdir(parents=True, exist_ok=True)
figure.savefig(OUT / "score.png", dpi=150)
print(f"see {OUT / 'score.png'}")

# %% [markdown]
# ## Score daily tables in a batch
#
# A batch transform needs no endpoint: it starts a machine, scores every table below a prefix,
# and ends. A table is a request, so these are the endpoint's scores of the same tables.

# %%
import io

from echoanom import storage
from echoanom.cloud import transforms
from echoanom.cloud.joboptions import TransformOptions

plan = transforms.plan_transform(
    jobs.new_name(f"{NAME}-days"),
    model,
    serving,
    f"{folder}/days/",
    f"{folder}/scores",
    TransformOptions(SERVING_MACHINE),
    account,
)
name = transforms.start_transform(plan, cloud)
started.append(name)
done = transforms.wait_for_transform(name, cloud=cloud)
print(f"{done.name}: {done.status}")

differences = []
for table in tables:
    answer = storage.read_bytes(f"{done.destination}/{table.name}.out")
    batch = pd.read_csv(io.BytesIO(answer), parse_dates=["timestamp"])
    asked_for = predictions.predict_file(NAME, str(table), cloud=cloud)
    np.testing.assert_allclose(batch["score"], asked_for.score, rtol=1e-4)
    differences.append(np.nanmax(np.abs(batch["score"] / asked_for.score - 1)))
print(
    f"{len(tables)} tables; largest relative difference to the endpoint's scores:"
    f" {max(differences):.1e}"
)

# %% [markdown]
# ## Hold it against a Random Cut Forest
#
# A forest judges each row by itself, without its neighbours. Here the library krcf grows it
# from the same record without what is labelled. What lies out of the water is not hard to
# find, so look at how many other rows are in events as well.

# %%
from echoanom import evaluate
from echoanom.forest import score_with_forest

forest = score_with_forest(record, FOREST, exclude=unusual)
compared = {}
for method, scores in {"autoencoder": autoencoder, "forest": forest}.items():
    found = evaluate(scores, labels, threshold=scores.threshold(THRESHOLD).value)
    compared[method] = {
        "ROC AUC": found.roc_auc,
        "average precision": found.average_precision,
        "labelled rows in events": found.by_event.row_recall,
        "rows in events labelled": found.by_event.row_precision,
    }
print(f"{found.labelled_rows} of {found.rows} rows are labelled")
print(pd.DataFrame(compared).T.round(3).to_string())

# %% [markdown]
# SageMaker has the method as a built-in algorithm. The same rows are taken to it in the form
# that it reads, and the request is held against the service's model.
# `jobs.start_training(request, cloud)` starts the job on AWS, for another cent or two; the
# algorithm is AWS's own, so no stand-in has it.

# %%
from echoanom.cloud.forest import forest_image, forest_request
from echoanom.cloud.forestdata import export_rows
from echoanom.cloud.trainingplan import TrainingPlan, check_plan

export = export_rows(record, f"{folder}/forest", FOREST, exclude=unusual, labels=labels)
request = TrainingPlan(
    forest_request(
        export,
        Places(f"{folder}/jobs", jobs.new_name(f"{NAME}-forest")),
        forest_image(cloud.region),
        FOREST,
        account=account,
    ),
    {},
)
check_plan(request)
print(f"{export.train.rows} rows to learn from in {export.train_url}")

# %% [markdown]
# ## Delete everything
#
# The endpoint with its configuration and model, and whatever else of this run is still at
# work. Then there is nothing left that costs money by the hour. To keep the trained model,
# leave out the last cell, which empties the folder in the bucket.

# %%
since = endpoints.describe_endpoint(NAME, cloud)["CreationTime"]
print("ended:", *end_what_was_started(), sep="\n  ")
served = datetime.datetime.now(datetime.UTC) - since
cost = served.total_seconds() / 3600 * HOURLY[SERVING_MACHINE]
print(f"the endpoint served for {served.total_seconds():.0f} s: ${cost:.3f} on AWS")

left = [one for one in list_running(cloud) if one.name in started]
assert not left, left
print(f"of {len(started)} things that were started, {len(left)} cost money now")

# %%
bucket, _, prefix = folder.removeprefix("s3://").partition("/")
stored = cloud.session.resource("s3").Bucket(bucket).objects.filter(Prefix=f"{prefix}/")
count = len(list(stored))
stored.delete()
assert not list(stored)
print(f"{count} objects removed, none is left in {folder}")
here.close()
