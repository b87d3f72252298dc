"""The terminal and the UI run the same batch: the same rows, and the same events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_service import HOME, LAKE, running_service

from assets.stages import ingest_stages
from orchestration.cli.session import RunSummary, Session
from orchestration.settings import Settings
from resources.catalog.files import register
from resources.catalog.locations import RUN_ID

TABLES = [table.name for stage in ingest_stages() for table in stage.outputs]


@pytest.mark.slow(minutes=3)
@pytest.mark.timeout(1500)
def test_a_batch_ingested_in_the_terminal_and_one_backfilled_in_the_ui_are_the_same(
    tmp_path: Path, synthetic_video: Callable[..., Path], whole_tables: Callable[..., dict[str, Any]]
) -> None:
    videos = [str(synthetic_video(tmp_path, f"video_{number}.mp4", number)) for number in range(2)]
    in_terminal, in_ui = (_session(tmp_path / name) for name in ("terminal", "ui"))
    batches = [register(session.lake, session.media, videos, run_id=RUN_ID).batches for session in (in_terminal, in_ui)]
    (batch,) = batches[0]
    assert batches[1] == batches[0]

    summary = RunSummary()
    in_terminal.run_pending_batches(summary)
    assert summary.is_well
    with running_service(tmp_path / "ui") as service:
        service.add_partition(batch)
        backfill = service.backfilled(TABLES, [batch])
        assert backfill["status"] == "COMPLETED_SUCCESS", backfill

    assert whole_tables(in_ui.lake, *TABLES) == whole_tables(in_terminal.lake, *TABLES)
    assert _events(in_ui.instance) == _events(in_terminal.instance)


def _session(folder: Path) -> Session:
    folder.mkdir()
    return Session(Settings(lake=str(folder / LAKE), dagster_home=str(folder / HOME), workers=1))


def _events(instance: dg.DagsterInstance) -> tuple[set[Any], set[Any]]:
    """Materialized partitions of each asset with their metadata's names, and results of checks."""
    materializations, checks = set(), set()
    for run in instance.get_runs():
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
            made = entry.asset_materialization
            assert made is not None
            data_version = (made.tags or {})["dagster/data_version"]
            names = frozenset(made.metadata)
            materializations.add((made.asset_key.to_user_string(), made.partition, data_version, names))
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
            check = entry.get_dagster_event().asset_check_evaluation_data
            checks.add((check.asset_key.to_user_string(), check.check_name, check.partition, check.passed))
    return materializations, checks
