# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A gallery
#
# Four stories, each a script beside this notebook that runs by itself in under a
# minute. Their files go to `../demo-output`. Run it in the folder `examples`, with
# `echoanom[all]` installed.

# %% [markdown]
# ## Find the storm
#
# A current profiler and a CTD share a simulated sea. A model learns from eight days,
# and reads four more in which a surge passes.

# %%
import find_the_storm

find_the_storm.find("../demo-output/storm")

# %% [markdown]
# The storm has the highest peak by far. The events behind it are false alarms: half a
# one a day was asked for, but what a day brings differs, and two held-back days do not
# tell how much. Where people look at every event, the order helps more than the
# threshold.

# %% [markdown]
# ## Find the dead sensor
#
# A hydrophone gives nothing for six hours, and a CTD repeats its values for five. A
# model says little of either: of what is missing it sees nothing, and still values may
# be easy to reproduce. Both are read from the data, as `echoanom detect --dataset`
# does.

# %%
import find_the_dead_sensor

find_the_dead_sensor.find("../demo-output/dead-sensor")

# %% [markdown]
# ## Compare three models
#
# The default model, principal components of windows, and the z-score of each value: on
# the same days, against the same labels.

# %%
import compare_three_models

compare_three_models.compare("../demo-output/models")

# %% [markdown]
# Twelve labels in six days are few: the intervals overlap widely, and the order of the
# models here says little about other records. `make results` measures all models on six
# labelled records.

# %% [markdown]
# ## Choose a threshold
#
# Ninety days of a real tide gauge, in which a person flagged what is bad. Every rule
# takes its threshold from the days that the model was trained with; the fifty days
# after them tell what it finds, and what it costs.

# %%
import choose_a_threshold

choose_a_threshold.choose("../demo-output/threshold")

# %% [markdown]
# `alarms:0.1` and `alarms:1` cost some two times what they ask for: the failing gauge
# is unusual also where nobody flagged it. Pruning finds as much as `alarms:0.1` with
# fewer false alarms. The second pair of columns has marks in place of flags, as a
# reader of a report makes them. The rules are in the same order. But marks know only
# what was shown: what no event showed, none can miss.
