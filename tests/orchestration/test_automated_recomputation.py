"""The deployed lakehouse, opened with another summariser than the one its lake was filled with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from dagster_service import HOME, LAKE, Service, running_service
from scripted_server import MODEL, scripted_server

from orchestration.cli.session import RunSummary, Session
from orchestration.settings import Settings
from resources.catalog.files import register
from resources.catalog.locations import RUN_ID

SECONDS_TO_RECOMPUTE = 600
SECONDS_UNTIL_QUIET = 75  # two evaluations: time enough for a second run to be requested
RECOMPUTED = {"clip_captions", "dialogues", "caption_embeddings", "clip_scores"}

RUNS = """
query {
  runsOrError { ... on Runs { results { status tags { key value } assetSelection { path } } } }
}
"""


@pytest.mark.slow(minutes=4)
@pytest.mark.timeout(1500)
def test_another_summariser_recomputes_captions_and_what_depends_on_them_by_itself(
    tmp_path: Path, synthetic_video: Callable[..., Path]
) -> None:
    settings = Settings(lake=str(tmp_path / LAKE), dagster_home=str(tmp_path / HOME), workers=1)
    session = Session(settings)
    videos = [str(synthetic_video(tmp_path, f"video_{number}.mp4", number)) for number in range(2)]
    batches = register(session.lake, session.media, videos, run_id=RUN_ID, hours_per_batch=4 / 3600).batches
    summary = RunSummary()
    session.run_pending_batches(summary)
    assert summary.is_well
    assert len(batches) == 2
    captions = session.lake.polars("frame_captions").sort("frame_caption_id")

    with scripted_server() as server:
        summariser = f"{{kind: server, url: '{server.url}', served_model: {MODEL}}}"
        with running_service(tmp_path, {"INTERNVID_PROVIDER_SUMMARISER": summariser}) as service:

            def recomputed() -> bool:
                return set(service.lake.polars("clip_captions")["model"]) == {MODEL}

            service.wait(recomputed, seconds=SECONDS_TO_RECOMPUTE)
            service.wait(lambda: not unfinished(service), seconds=SECONDS_TO_RECOMPUTE)
            with pytest.raises(TimeoutError):
                service.wait(lambda: unfinished(service), seconds=SECONDS_UNTIL_QUIET)
            # The hour may be full meanwhile, at which a schedule publishes.
            others = {"internvid/liveness", "dagster/schedule_name"}
            automated = [run for run in runs(service) if not others & run["tags"].keys()]
    assert sorted(run["tags"]["dagster/partition"] for run in automated) == sorted(batches)
    assert [run["assets"] for run in automated] == [RECOMPUTED, RECOMPUTED]
    assert [run["status"] for run in automated] == ["SUCCESS", "SUCCESS"]
    assert session.lake.polars("frame_captions").sort("frame_caption_id").equals(captions)


def runs(service: Service) -> list[dict]:
    return [
        {
            "status": run["status"],
            "tags": {tag["key"]: tag["value"] for tag in run["tags"]},
            "assets": {asset["path"][0] for asset in run["assetSelection"] or []},
        }
        for run in service.graphql(RUNS)["results"]
    ]


def unfinished(service: Service) -> list[dict]:
    return [run for run in runs(service) if run["status"] not in ("SUCCESS", "FAILURE", "CANCELED")]
