"""What Dagster is told of a run of a stage: numbers of rows and units, data versions, the check, faults."""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from cutting_stage import BATCH, OTHER_BATCH, units, videos

from resources.incremental.declaration import StageRun, stage
from resources.incremental.materialization import batch_counts_spec, build_asset, column_lineage, refresh
from resources.incremental.retries import FailurePolicy
from resources.incremental.stage import Compute, Done, Outcome, Rows, Skipped, Stage, Unit, one_by_one
from resources.lake.schema import CLIP_CAPTIONS, CLIPS, FRAMES, TABLES
from resources.lake.store import Lake


def materialize(lake: Lake, stage: Stage, compute: Compute) -> dict[str, dict[str, Any]]:
    """Runs the stage as an asset; returns the metadata of each table, with its data version and its check's verdict."""

    @dg.multi_asset(
        specs=[dg.AssetSpec("clips"), dg.AssetSpec("frames")],
        partitions_def=dg.StaticPartitionsDefinition([BATCH]),
        check_specs=[batch_counts_spec("clips"), batch_counts_spec("frames")],
    )
    def clips_and_frames(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        yield from refresh(context, lake, stage, compute)

    result = dg.materialize([clips_and_frames], partition_key=BATCH, instance=dg.DagsterInstance.ephemeral())
    checks = {check.asset_key.to_user_string(): check.passed for check in result.get_asset_check_evaluations()}
    told = {}
    for event in result.get_asset_materialization_events():
        name = event.materialization.asset_key.to_user_string()
        metadata = {key: value.value for key, value in event.materialization.metadata.items()}
        assert event.materialization.tags is not None
        version = event.materialization.tags["dagster/data_version"]
        told[name] = metadata | {"data_version": version, "check": checks[name]}
    return told


def numbers(told: dict[str, Any]) -> dict[str, Any]:
    names = ("rows_added", "rows_changed", "rows_removed", "rows_unchanged", "dagster/partition_row_count")
    return {name.split("/")[-1].removeprefix("rows_"): told[name] for name in names}


def test_a_run_tells_exactly_how_many_rows_were_added_changed_removed_and_left(lake, cutting):
    videos(lake, {"a": "3 red", "b": "2 blue", "c": "1 green"})
    videos(lake, {"elsewhere": "4 red"}, OTHER_BATCH)
    cutting.run("r0", OTHER_BATCH)
    first = materialize(lake, cutting.stage, cutting)
    assert numbers(first["clips"]) == dict(added=6, changed=0, removed=0, unchanged=0, partition_row_count=6)
    videos(lake, {"a": "3 red", "b": "1 pink", "d": "2 white"})
    second = materialize(lake, cutting.stage, cutting)
    for table in ("clips", "frames"):
        assert numbers(second[table]) == dict(added=2, changed=1, removed=2, unchanged=3, partition_row_count=6)
        assert second[table]["dagster/row_count"] == 10
        assert {name: second[table][f"units_{name}"] for name in units()} == units(done=3)
        assert second[table]["units_processed"] == 2
        assert second[table]["check"] is True
    assert (second["clips"]["stage_version"], second["frames"]["stage_version"]) == ("cut/1", "frames/1")


def test_the_data_version_is_equal_exactly_for_equal_content(lake, cutting):
    videos(lake, {"a": "2 red", "b": "1 blue"})
    first = materialize(lake, cutting.stage, cutting)
    assert first["clips"]["data_version"] != first["frames"]["data_version"]

    def versions() -> list[str]:
        told = materialize(lake, cutting.stage, cutting)
        return [told[table]["data_version"] for table in ("clips", "frames")]

    same = [first[table]["data_version"] for table in ("clips", "frames")]
    assert versions() == same
    lake.delete("clips", ["a_0"])
    assert versions() == same, "made again with the same content"
    videos(lake, {"a": "2 pink", "b": "1 blue"})
    assert all(now != before for now, before in zip(versions(), same, strict=True))
    videos(lake, {"a": "2 red", "b": "1 blue"})
    assert versions() == same, "and back"
    cutting.frame = "frames/2"
    clips_version, frames_version = versions()
    assert clips_version == same[0]
    assert frames_version != same[1]


def test_a_unit_left_pending_fails_the_check(lake, cutting):
    videos(lake, {"a": "1 red", "b": "1 blue"})

    whole = cutting.outcome

    def outcome(unit: Unit) -> Outcome:
        """Says of "b" that it has one frame more than it gives."""
        done = whole(unit)
        assert isinstance(done, Done)
        of_clips, of_frames = done.rows
        return Done(unit, (of_clips, Rows(of_frames.count + (unit.key == "b"), of_frames.batches)))

    told = materialize(lake, cutting.stage, lambda some: one_by_one(some, outcome))
    for table in ("clips", "frames"):
        assert told[table]["check"] is False
        assert {name: told[table][f"units_{name}"] for name in units()} == units(done=1, pending=1)


def test_a_fault_of_the_system_is_one_message_and_no_further_try(lake, cutting):
    videos(lake, {"a": "1 red", "b": "1 blue"})
    calls = []

    @stage(group="video", outputs=(CLIPS, FRAMES), units="clips", version="1", name="clips")
    def full_disk(run: StageRun, units: list[Unit]) -> Iterator[Outcome]:
        calls.append([unit.key for unit in units])
        raise OSError(errno.ENOSPC, "No space left on device", lake.root)

    asset = build_asset(full_disk, dg.StaticPartitionsDefinition([BATCH]))
    result = dg.materialize(
        [asset],
        partition_key=BATCH,
        instance=dg.DagsterInstance.ephemeral(),
        resources={"lake": lake, "failure_policy": FailurePolicy()},
        raise_on_error=False,
    )
    assert calls == [["a", "b"]]
    (failure,) = (event.step_failure_data for event in result.all_events if event.is_step_failure)
    assert failure.user_failure_data.description.startswith("clips: no room left on the disk of ")
    assert failure.user_failure_data.metadata["fault"].value == "SystemFault"
    assert lake.polars("attempts").is_empty()


@pytest.mark.parametrize("with_retries", [True, False])
@pytest.mark.parametrize("damaged", [False, True])
def test_a_version_that_was_removed_while_it_was_read_is_one_more_try_and_a_damaged_table_a_message(
    lake, cutting, with_retries, damaged
):
    videos(lake, {"a": "1 red", "b": "1 blue"})
    calls = []

    @stage(group="video", outputs=(CLIPS, FRAMES), units="clips", version="1", name="clips")
    def reading(run: StageRun, units: list[Unit]) -> Iterator[Outcome]:
        calls.append([unit.key for unit in units])
        if damaged or len(calls) == 1:
            old = lake.dataset("raw_videos").to_batches()
            for fragment in Path(lake.root, "raw_videos.lance", "data").iterdir():
                fragment.rename(fragment.with_suffix(".away"))
            try:
                list(old)
            finally:
                for fragment in Path(lake.root, "raw_videos.lance", "data").iterdir():
                    fragment.rename(fragment.with_suffix(".lance"))
        yield from one_by_one(units, lambda unit: Skipped(unit, "NoVideo", "nothing is in it"))

    asset = build_asset(reading, dg.StaticPartitionsDefinition([BATCH]), with_retries=with_retries)
    result = dg.materialize(
        [asset],
        partition_key=BATCH,
        instance=dg.DagsterInstance.ephemeral(),
        resources={"lake": lake, "failure_policy": FailurePolicy()},
        raise_on_error=False,
    )
    assert calls == [["a", "b"]] * 2
    failures = [event.step_failure_data.user_failure_data for event in result.all_events if event.is_step_failure]
    assert [failure.metadata["fault"].value for failure in failures] == (["TableUnreadable"] if damaged else [])
    assert all(failure.description.startswith("clips: a table of the lake cannot be read") for failure in failures)
    assert lake.polars("attempts")["outcome"].to_list() == ([] if damaged else ["skipped"] * 2)


@pytest.mark.parametrize(("with_retries", "tries"), [(True, 2), (False, 1)])
def test_a_run_that_an_unknown_error_ended_is_tried_once_more_unless_somebody_waits(lake, with_retries, tries):
    calls = []

    def broken(run: StageRun) -> None:
        calls.append(run.partition)
        raise RuntimeError("a bug")

    @stage(group="video", outputs=(CLIPS, FRAMES), units="clips", version="1", name="clips", finish=broken)
    def nothing_to_do(run: StageRun, units: list[Unit]) -> Iterator[Outcome]:
        yield from ()

    asset = build_asset(nothing_to_do, dg.StaticPartitionsDefinition([BATCH]), with_retries=with_retries)
    result = dg.materialize(
        [asset],
        partition_key=BATCH,
        instance=dg.DagsterInstance.ephemeral(),
        resources={"lake": lake, "failure_policy": FailurePolicy()},
        raise_on_error=False,
    )
    assert not result.success
    assert len(calls) == tries


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_the_lineage_of_columns_names_columns_that_there_are(table):
    for origins in column_lineage(table).deps_by_column.values():
        for origin in origins:
            other = TABLES[origin.asset_key.to_user_string()]
            assert origin.column_name in other.column_names
            assert other is not table


def test_the_lineage_of_a_caption_is_the_captions_of_its_frames():
    assert column_lineage(CLIP_CAPTIONS).deps_by_column["caption"] == [
        dg.TableColumnDep(dg.AssetKey("frame_captions"), "caption")
    ]
