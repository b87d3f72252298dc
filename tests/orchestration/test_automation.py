"""What the automation condition requests: the real definitions and their conditions, in runs that compute nothing."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import dagster as dg
import pytest

from assets.partitions import INGEST_BATCH
from assets.stages import ingest_stages
from orchestration.automation import build_automation
from orchestration.definitions import definitions
from orchestration.settings import Settings

BATCHES = ["2026-01-01-0001", "2026-01-01-0002"]
TABLES = [table.name for stage in ingest_stages() for table in stage.outputs]
OTHER_SUMMARISER = {"summariser": "{kind: server, url: 'http://127.0.0.1:9/v1', served_model: other}"}
AFTER_SUMMARISER = {"clip_captions", "dialogues", "caption_embeddings", "clip_scores"}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("lake"))


@pytest.fixture(scope="module")
def embedded(lake: str) -> dg.Definitions:
    return definitions(Settings(lake=lake))


@pytest.fixture(scope="module")
def with_other_summariser(lake: str) -> dg.Definitions:
    return definitions(Settings(lake=lake, providers=OTHER_SUMMARISER))


class Lakehouse:
    """Definitions, an instance, and the cursor between two evaluations."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self.definitions, self.instance = definitions, instance
        self.cursor: dg.AssetDaemonCursor | None = None

    def run(self, batch: str, *, without: tuple[str, ...] = ()) -> None:
        """Materializes the batch's assets in one run, by stand-ins with the same keys, inputs and code versions."""
        self.instance.add_dynamic_partitions(INGEST_BATCH, [batch])
        tables = [table for table in TABLES if table not in without]
        specs = [spec for spec in self.definitions.resolve_all_asset_specs() if spec.key.to_user_string() in tables]

        @dg.multi_asset(specs=specs, partitions_def=specs[0].partitions_def)
        def stages() -> Iterator[dg.MaterializeResult]:
            yield from (dg.MaterializeResult(asset_key=table) for table in tables)

        assert dg.materialize([stages], partition_key=batch, instance=self.instance).success

    def report(self, asset: str, batch: str | None = None) -> None:
        self.instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=batch))

    def requested(self) -> dict[str, set[str]]:
        """Evaluates the conditions. Returns the requested assets of each batch."""
        partitions = self.instance.get_dynamic_partitions(INGEST_BATCH)
        # The daemon reads the partitions once in an evaluation, Dagster's own function for tests some thousand times.
        with mock.patch.object(self.instance, "get_dynamic_partitions", return_value=partitions):
            result = dg.evaluate_automation_conditions(
                self.definitions, instance=self.instance, asset_selection=self._target, cursor=self.cursor
            )
        self.cursor = result.cursor
        assets: dict[str, set[str]] = {}
        for table in TABLES:
            for batch in result.get_requested_partitions(dg.AssetKey(table)):
                assets.setdefault(batch, set()).add(table)
        return assets

    @property
    def _target(self) -> dg.AssetSelection:
        return build_automation(ingest_stages()).asset_selection


@pytest.fixture
def lakehouse(embedded: dg.Definitions) -> Iterator[Lakehouse]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Lakehouse(embedded, instance)


def test_a_new_batch_is_left_to_the_sensor_and_one_that_was_run_is_not_requested_again(lakehouse: Lakehouse) -> None:
    assert lakehouse.requested() == {}
    lakehouse.instance.add_dynamic_partitions(INGEST_BATCH, BATCHES)
    assert lakehouse.requested() == {}
    lakehouse.run(BATCHES[0])
    assert lakehouse.requested() == {}
    assert lakehouse.requested() == {}


def test_other_settings_recompute_what_depends_on_them_in_every_batch_that_was_run(
    lakehouse: Lakehouse, with_other_summariser: dg.Definitions
) -> None:
    for batch in BATCHES:
        lakehouse.run(batch)
    lakehouse.instance.add_dynamic_partitions(INGEST_BATCH, ["2026-01-01-0003"])  # registered, and not run yet
    assert lakehouse.requested() == {}
    lakehouse.definitions = with_other_summariser
    assert lakehouse.requested() == {batch: AFTER_SUMMARISER for batch in BATCHES}
    assert lakehouse.requested() == {}


def test_a_lake_that_was_filled_with_other_settings_is_recomputed_at_the_first_evaluation(
    lakehouse: Lakehouse, with_other_summariser: dg.Definitions
) -> None:
    lakehouse.run(BATCHES[0])
    lakehouse.definitions = with_other_summariser
    assert lakehouse.requested() == {BATCHES[0]: AFTER_SUMMARISER}
    assert lakehouse.requested() == {}


def test_another_active_checkpoint_recomputes_the_vectors_of_every_batch(lakehouse: Lakehouse) -> None:
    for batch in BATCHES:
        lakehouse.run(batch)
    assert lakehouse.requested() == {}
    lakehouse.report("active_checkpoint")
    assert lakehouse.requested() == {
        batch: {"clip_embeddings", "caption_embeddings", "clip_scores"} for batch in BATCHES
    }
    assert lakehouse.requested() == {}


@pytest.mark.parametrize("asset", ["sources", "annotations", "feeds", "feed_polls"])
def test_what_has_no_partitions_recomputes_nothing(lakehouse: Lakehouse, asset: str) -> None:
    lakehouse.run(BATCHES[0])
    assert lakehouse.requested() == {}
    lakehouse.report(asset)
    assert lakehouse.requested() == {}


def test_a_batch_follows_its_own_inputs_only(lakehouse: Lakehouse) -> None:
    for batch in BATCHES:
        lakehouse.run(batch)
    assert lakehouse.requested() == {}
    lakehouse.report("frame_captions", BATCHES[1])
    assert lakehouse.requested() == {BATCHES[1]: AFTER_SUMMARISER}
    assert lakehouse.requested() == {}


def test_a_batch_is_requested_neither_while_a_run_goes_through_it_nor_after_that_failed(lakehouse: Lakehouse) -> None:
    lakehouse.run(BATCHES[0])
    assert lakehouse.requested() == {}
    job = lakehouse.definitions.resolve_job_def("ingest")
    run = lakehouse.instance.create_run_for_job(
        job,
        tags={"dagster/partition": BATCHES[0]},
        status=dg.DagsterRunStatus.STARTED,
        asset_selection=frozenset(dg.AssetKey(table) for table in TABLES),
    )
    lakehouse.report("frame_captions", BATCHES[0])
    assert lakehouse.requested() == {}
    lakehouse.instance.report_run_failed(run)
    assert lakehouse.requested() == {}


def test_what_an_evaluation_sees_half_of_a_run_is_not_requested(lakehouse: Lakehouse) -> None:
    """The run has made the captions already, but not ended: then an evaluation may take only their inputs for new."""
    lakehouse.run(BATCHES[0])
    assert lakehouse.requested() == {}
    run = lakehouse.instance.create_run_for_job(
        lakehouse.definitions.resolve_job_def("ingest"),
        tags={"dagster/partition": BATCHES[0]},
        status=dg.DagsterRunStatus.STARTED,
        asset_selection=frozenset({dg.AssetKey("raw_videos")}),
    )
    lakehouse.report("frame_captions", BATCHES[0])
    assert lakehouse.requested() == {}
    lakehouse.instance.report_run_failed(run)
    assert lakehouse.requested() == {BATCHES[0]: AFTER_SUMMARISER}


def test_a_new_stage_is_computed_for_the_batches_that_have_its_inputs(lakehouse: Lakehouse) -> None:
    lakehouse.run(BATCHES[0], without=("fingerprints",))
    lakehouse.instance.add_dynamic_partitions(INGEST_BATCH, [BATCHES[1]])
    assert lakehouse.requested() == {BATCHES[0]: {"fingerprints"}}
    assert lakehouse.requested() == {}
