"""What private.rs is compared with, on the same file: counts and sums by key of a table in which a patient has several rows. Prints
processor seconds.

usage: private.py opendp|smartnoise|pipelinedp FILE RHO KEYS ROWS_OF_A_PATIENT"""

import resource
import sys

which, path, rho, keys, contributions = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
WARDS = [f"ward number {key}" for key in range(keys)]
LOWER, UPPER, DELTA = 0.0, 1000.0, 1e-7


def opendp():
    import opendp.prelude as dp
    import polars as pl

    dp.enable_features("contrib", "honest-but-curious")

    def work():
        context = dp.Context.compositor(
            data=pl.read_parquet(path).lazy(),
            privacy_unit=dp.unit_of(contributions=1, identifier=pl.col("person_id")),
            privacy_loss=dp.loss_of(rho=rho),
            split_evenly_over=1,
            margins=[dp.polars.Margin(by=["ward"], max_length=10_000_000, max_groups=keys)],
        )
        query = (
            context.query()
            .truncate_per_group(contributions)
            .group_by("ward")
            .agg(dp.len(), pl.col("cost").fill_nan(0.0).fill_null(0.0).dp.sum((LOWER, UPPER)))
            .with_keys(pl.LazyFrame({"ward": WARDS}))
        )
        released = query.release().collect()
        return {row["ward"]: (row["len"], row["cost"]) for row in released.to_dicts()}

    return work


def epsilon():
    """Of rho at DELTA, for what knows no rho (Bun and Steinke 2016)."""
    import math

    return rho + 2 * math.sqrt(rho * math.log(1 / DELTA))


def smartnoise():
    import pandas as pd
    import snsql
    from snsql import Privacy

    columns = {
        "person_id": {"type": "int", "private_id": True}, "ward": {"type": "string"},
        "cost": {"type": "float", "lower": LOWER, "upper": UPPER},
    }
    meta = {"": {"rows": {"visit": {"max_ids": contributions, "censor_dims": False, "row_privacy": False, **columns}}}}

    def work():
        table = pd.read_parquet(path, columns=["person_id", "ward", "cost"])
        reader = snsql.from_df(table, privacy=Privacy(epsilon=epsilon(), delta=DELTA), metadata=meta)
        rows = reader.execute("SELECT ward, COUNT(*) AS n, SUM(cost) AS s FROM rows.visit GROUP BY ward")
        return {ward: (count, total) for ward, count, total in rows[1:]}

    return work


def pipelinedp():
    import pandas as pd
    import pipeline_dp

    def work():
        table = pd.read_parquet(path, columns=["person_id", "ward", "cost"])
        rows = list(zip(table.person_id, table.ward, table.cost))
        budget = pipeline_dp.NaiveBudgetAccountant(total_epsilon=epsilon(), total_delta=DELTA)
        engine = pipeline_dp.DPEngine(budget, pipeline_dp.LocalBackend())
        wanted = pipeline_dp.AggregateParams(
            metrics=[pipeline_dp.Metrics.COUNT, pipeline_dp.Metrics.SUM], noise_kind=pipeline_dp.NoiseKind.GAUSSIAN,
            max_partitions_contributed=5, max_contributions_per_partition=2, min_value=LOWER, max_value=UPPER)
        extract = pipeline_dp.DataExtractors(
            privacy_id_extractor=lambda row: row[0], partition_extractor=lambda row: row[1], value_extractor=lambda row: row[2])
        found = engine.aggregate(rows, wanted, extract, public_partitions=WARDS)
        budget.compute_budgets()
        return {ward: (value.count, value.sum) for ward, value in found}

    return work


run = {"opendp": opendp, "smartnoise": smartnoise, "pipelinedp": pipelinedp}[which]()
before = resource.getrusage(resource.RUSAGE_SELF)
answer = run()
after = resource.getrusage(resource.RUSAGE_SELF)
assert set(answer) == set(WARDS), "each key is answered"
print(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
