"""An unattended lakehouse trains its first model, and selects older subsets again: what the sensors request."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from queued_runs import queue

from orchestration.definitions import definitions
from orchestration.settings import Settings
from orchestration.waiting import PARTITION
from resources.corpus.snapshots import take_snapshot
from resources.corpus.subset_files import SubsetFiles
from resources.lake.store import Lake
from resources.models.aligner import ActiveCheckpoint, Aligner, activate


class Unattended:
    """A lake with one caption, its sensors, and the instance that they ask for runs."""

    def __init__(self, lake: Lake, instance: dg.DagsterInstance) -> None:
        self.lake, self.instance = lake, instance
        self.definitions = definitions(Settings(lake=lake.root, first_model="viclip-tiny|all"))

    def requested(self, name: str) -> list[tuple[str | None, str | None]]:
        """A tick of the sensor: job and partition of each run that it requests."""
        repository = self.definitions.get_repository_def()
        sensor = repository.get_sensor_def(name)
        by_name = {"lake": self.lake, "aligner": Aligner(), "subset_files": SubsetFiles()}
        resources = {resource: by_name[resource] for resource in sensor.required_resource_keys}
        with dg.build_sensor_context(self.instance, repository_def=repository, resources=resources) as context:
            result = sensor(context)
        if isinstance(result, dg.SkipReason):
            return []
        requests = [result] if isinstance(result, dg.RunRequest) else result.run_requests or []
        return [(request.job_name, request.partition_key) for request in requests]

    def caption(self, clip: str) -> None:
        self.lake.upsert("clip_captions", pl.DataFrame({"clip_id": [clip], "caption": ["A cat"], "provenance": ["p"]}))

    def select(self, subset: str, snapshot: str) -> None:
        row = {"subset": [subset], "snapshot": [snapshot], "parameters": [json.dumps({"min_seconds": 2.0})]}
        self.lake.upsert("subset_snapshots", pl.DataFrame({**row, "provenance": [snapshot]}))


@pytest.fixture
def unattended(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Iterator[Unattended]:
    lake = new_lake(tmp_path / "lake")
    with dg.DagsterInstance.ephemeral() as instance:
        yield Unattended(lake, instance)


def test_the_first_model_is_trained_after_the_lake_is_pinned_and_the_subset_selected(unattended: Unattended) -> None:
    assert unattended.requested("first_model_sensor") == []
    unattended.caption("a")
    assert unattended.requested("first_model_sensor") == [("pin", None)]
    snapshot, _, _ = take_snapshot(unattended.lake, run_id="test")
    assert unattended.requested("first_model_sensor") == [("select", "all")]
    unattended.select("all", snapshot)
    assert unattended.requested("first_model_sensor") == [("train", "viclip-tiny|all")]
    activate(unattended.lake, ActiveCheckpoint("model", "/nowhere", "digest"))
    assert unattended.requested("first_model_sensor") == []


def test_the_first_model_waits_for_the_runs_that_go_on(unattended: Unattended) -> None:
    unattended.caption("a")
    job = unattended.definitions.resolve_job_def("pin")
    run = unattended.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert unattended.requested("first_model_sensor") == []
    unattended.instance.report_run_failed(run)
    assert unattended.requested("first_model_sensor") == [("pin", None)]


def test_a_subset_of_an_older_snapshot_is_selected_again(unattended: Unattended) -> None:
    unattended.caption("a")
    snapshot, _, _ = take_snapshot(unattended.lake, run_id="test")
    unattended.select("all", snapshot)
    assert unattended.requested("outdated_subsets_sensor") == []
    unattended.caption("b")
    assert unattended.requested("outdated_subsets_sensor") == [], "nothing was published since"
    take_snapshot(unattended.lake, run_id="test")
    assert unattended.requested("outdated_subsets_sensor") == [(None, "all")]
    queue(unattended.instance, "select", {PARTITION: "all"})
    assert unattended.requested("outdated_subsets_sensor") == [], "a run waits that will do it"


def test_a_subset_that_was_written_and_is_selected_again_is_written_again(unattended: Unattended) -> None:
    unattended.caption("a")
    snapshot, _, _ = take_snapshot(unattended.lake, run_id="test")
    unattended.select("all", snapshot)
    assert unattended.requested("outdated_documents_sensor") == [], "it was never written"
    document = {"document_id": "all/a/a", "subset": "all", "form": "a", "provenance": "made"}
    unattended.lake.upsert("interleaved", pl.DataFrame([document]))
    assert unattended.requested("outdated_documents_sensor") == [(None, "all")]
    queue(unattended.instance, "write", {PARTITION: "all"})
    assert unattended.requested("outdated_documents_sensor") == [], "a run waits that will do it"
