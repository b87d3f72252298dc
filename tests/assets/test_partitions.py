"""Partitions of ingest batches."""

import dagster as dg
import pytest

from assets import partitions


def test_more_partitions_are_added_than_one_statement_takes(tmp_path) -> None:
    keys = [f"2026-11-26-{number:04d}" for number in range(23)]
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        partitions.add_ingest_batches(instance, keys, per_statement=7)
        partitions.add_ingest_batches(instance, keys[:3], per_statement=7)
        assert sorted(instance.get_dynamic_partitions("ingest_batch")) == keys


@pytest.mark.slow
def test_a_quarter_of_a_million_partitions_are_added(tmp_path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        partitions.add_ingest_batches(instance, [f"2026-11-26-{number:06d}" for number in range(260_000)])
        assert len(instance.get_dynamic_partitions("ingest_batch")) == 260_000
