# %% [markdown]
# # Length of stay and readmission within 30 days, over five hospitals
#
# Everything here comes from three folders that a hospital or a researcher has received: rows under k-anonymity, a table of counts, and
# private answers. Each is verified before a number of it is looked at. No node runs, and nothing is fetched.
#
# The folders are made up and no patient is behind them:
# `cargo run --release -p cohortium-sdk --example samples -- samples`. What needs a live node is not here: asking for a release,
# reading a Delta Sharing table, fitting a model to rows that stay where they are.

# %%
import json
import os
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import cohortium

samples = Path(os.environ.get("COHORTIUM_SAMPLES", "samples"))
figures = Path(os.environ.get("COHORTIUM_FIGURES", "."))

# %% [markdown]
# The anchor is the consortium's id. In earnest it comes from the consortium, once, and not from beside the folders: whoever could change
# the folders could change it too.

# %%
anchor = json.loads((samples / "facts.json").read_text())["anchor"]
answer, counts, rows = (cohortium.open_release(samples / kind, anchor=anchor) for kind in ("aggregate", "counts", "microdata"))
answer

# %% [markdown]
# ## Private answers: means with the intervals of their noise
#
# Each number of an answer stands between the ends of an interval that holds the exact value of the bounded rows with 95 %. The error bars are of
# the noise that was drawn, and of nothing else: not of the patients that happened to come, nor of rows that were left out to bound a
# patient's part.

# %%
means = answer.to_pandas().set_index("site").sort_index()


def bars(name: str) -> list:
    """How far the ends of the intervals are below and above."""
    low, high = answer.intervals[name]
    return [means[name] - means[low], means[high] - means[name]]


figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5))
left.errorbar(means.index, means["days"], yerr=bars("days"), fmt="o", capsize=4)
left.set(title="mean stay", ylabel="days", ylim=(0, None))
right.errorbar(means.index, 100 * means["readmitted"], yerr=[100 * bar for bar in bars("readmitted")], fmt="o", capsize=4)
right.set(title="back within 30 days", ylabel="per cent of stays", ylim=(0, None))
figure.tight_layout()
figure.savefig(figures / "means.png", dpi=150)

# %% [markdown]
# Two hospitals differ beyond the noise only where their intervals do not meet.

# %%
low, high = answer.intervals["days"]
apart = [
    (one, other)
    for place, one in enumerate(means.index)
    for other in means.index[place + 1 :]
    if means[high][one] < means[low][other] or means[high][other] < means[low][one]
]
print("mean stays that differ beyond the noise:", ", ".join(" and ".join(pair) for pair in apart) or "none")

# %% [markdown]
# What this cost, and what its epsilon says nothing about:

# %%
cost = answer.cost
print(f"epsilon {cost.epsilon:.3f} of a token, {cost.epsilon_person:.3f} of a person at {cost.tokens} members, delta {cost.at:.0e}")
print("not covered:", *(f"release {release}" for release in cost.uncovered), *answer.not_covered, sep="\n  ")

# %% [markdown]
# ## Counts: what is suppressed is unknown, and not zero
#
# Counts from 1 to 10 are suppressed, and others with them so that no total gives one away. What is suppressed is left grey.

# %%
table = counts.to_pandas()
inner = table[(table["site"] != "(all)") & (table["age"] != "(all)")]
grid = inner.pivot(index="site", columns="age", values="patients").astype("float64")
figure, axes = plt.subplots(figsize=(6, 3.5))
axes.set_facecolor("lightgrey")
shown = axes.imshow(grid, cmap="viridis", vmin=0, aspect="auto")
axes.set_xticks(range(len(grid.columns)), grid.columns)
axes.set_yticks(range(len(grid.index)), grid.index)
axes.set_title("patients who were back within 30 days")
figure.colorbar(shown)
figure.tight_layout()
figure.savefig(figures / "counts.png", dpi=150)
print(int(grid.isna().sum().sum()), "of", grid.size, "cells are suppressed")

# %% [markdown]
# ## Rows: the whole distribution, of classes of at least k patients
#
# Rows were recoded and some suppressed, so that their shares are those of what was released. The bars are of the patients who happened to
# come: 95 % of means over rows drawn again.

# %%
frame = rows.to_pandas()
frame[["site", "age", "sex"]] = frame[["site", "age", "sex"]].astype(str)
smallest = frame.groupby(["site", "age", "sex"]).size().min()
assert smallest >= rows.statement["done"]["microdata"]["k"], "the statement says more than the rows keep"


def drawn_again(days: pd.Series) -> pd.Series:
    """The mean, and the ends of its bootstrap interval."""
    drawn = [days.sample(frac=1, replace=True, random_state=seed).mean() for seed in range(200)]
    return pd.Series({"mean": days.mean(), "low": pd.Series(drawn).quantile(0.025), "high": pd.Series(drawn).quantile(0.975)})


by_age = frame.groupby("age")["days"].apply(drawn_again).unstack()
figure, axes = plt.subplots(figsize=(5, 3.5))
axes.bar(by_age.index, by_age["mean"], yerr=[by_age["mean"] - by_age["low"], by_age["high"] - by_age["mean"]], capsize=4)
axes.set(title=f"mean stay by age, {rows.rows} rows", ylabel="days")
figure.tight_layout()
figure.savefig(figures / "rows.png", dpi=150)
print(by_age.round(2).to_string())

# %% [markdown]
# ## For other tools
#
# The rows as files. In R they are read by `stays.R`.

# %%
for release, name in ((answer, "answer"), (counts, "counts"), (rows, "rows")):
    release.write_parquet(figures / f"{name}.parquet")
    release.write_csv(figures / f"{name}.csv", missing="NA")
