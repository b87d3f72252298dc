"""Runs that showed something go from Dagster's history, and what they made stays made."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from resources.corpus.forgetting.run_history import remove_runs, runs_that_show, scrub_files, unfinished_runs

BATCHES = dg.StaticPartitionsDefinition(["first", "second"])


@dg.asset(partitions_def=BATCHES, check_specs=[dg.AssetCheckSpec("counts", asset="clips")])
def clips(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    context.log.info(f"a heron in {context.partition_key}")
    yield dg.MaterializeResult(
        data_version=dg.DataVersion(f"data of {context.partition_key}"),
        metadata={"sample": f"heron of {context.partition_key}"},
        check_results=[dg.AssetCheckResult(check_name="counts", passed=True, metadata={"says": "heron checked"})],
    )


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        yield instance


def made(instance: dg.DagsterInstance, batch: str) -> str:
    return dg.materialize([clips], partition_key=batch, instance=instance).run_id


def files_with(text: str, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def data_versions(instance: dg.DagsterInstance) -> dict[str, str | None]:
    versions = {}
    for batch in sorted(instance.get_materialized_partitions(dg.AssetKey("clips"))):
        wanted = dg.AssetRecordsFilter(dg.AssetKey("clips"), asset_partitions=[batch])
        materialization = instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization
        assert materialization is not None
        versions[batch] = (materialization.tags or {}).get("dagster/data_version")
    return versions


def test_runs_of_a_partition_go_with_all_they_showed_and_the_partition_stays_made(
    instance: dg.DagsterInstance, tmp_path: Path
):
    earlier, first, second = made(instance, "first"), made(instance, "first"), made(instance, "second")
    before = data_versions(instance)
    runs = runs_that_show(instance, partitions={"first"}, texts=[], since=None)
    assert set(runs) == {earlier, first}
    remove_runs(instance, runs)
    scrub_files(instance)
    assert files_with("heron of first", tmp_path) == [] == files_with("heron in first", tmp_path)
    assert [run.run_id for run in instance.get_runs()] == [second]
    assert data_versions(instance) == before == {"first": "data of first", "second": "data of second"}
    assert files_with("heron of second", tmp_path) != []


def test_a_run_that_names_one_of_the_texts_is_found_wherever_it_does(instance: dg.DagsterInstance):
    first, second = made(instance, "first"), made(instance, "second")
    assert runs_that_show(instance, partitions=set(), texts=["heron of second"], since=None) == [second]
    assert set(runs_that_show(instance, partitions=set(), texts=["heron checked"], since=None)) == {first, second}
    assert runs_that_show(instance, partitions=set(), texts=["a swan"], since=None) == []


def test_runs_that_are_left_by_a_killed_removal_go_with_the_next(instance: dg.DagsterInstance, tmp_path: Path):
    earlier, last = made(instance, "first"), made(instance, "first")
    remove_runs(instance, [last])
    assert data_versions(instance) == {"first": "data of first"}
    remove_runs(instance, [earlier])
    scrub_files(instance)
    assert data_versions(instance) == {"first": "data of first"}
    assert files_with("heron", tmp_path) == []


def test_what_was_deleted_from_a_file_of_sqlite_is_not_in_it_any_more(instance: dg.DagsterInstance, tmp_path: Path):
    path = tmp_path / "history" / "old.db"
    with sqlite3.connect(path) as connection:
        connection.execute("pragma secure_delete = off")
        connection.execute("create table told (text)")
        connection.executemany("insert into told values (?)", [(f"heron {number} " * 50,) for number in range(100)])
        connection.commit()
        connection.execute("delete from told")
    connection.close()
    assert files_with("heron 7", tmp_path) == [path]
    scrub_files(instance)
    assert files_with("heron 7", tmp_path) == []


def test_a_run_that_goes_on_is_told(instance: dg.DagsterInstance):
    made(instance, "first")
    assert unfinished_runs(instance) == []
    instance.add_run(dg.DagsterRun("ingest", run_id="on", status=dg.DagsterRunStatus.STARTED))
    assert unfinished_runs(instance) == ["on"]
    assert "on" not in runs_that_show(instance, partitions={"first"}, texts=[], since=None)
