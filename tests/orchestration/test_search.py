"""`internvid search` over the sample videos: plain words lead to the right one, also beside a model that has hardly
learnt anything, as the first one of a small lake.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from internvid.synthetic.render import SAMPLE_VIDEOS, render_all
from orchestration.cli.app import app
from orchestration.cli.session import Session
from resources.catalog.files import register
from resources.training.trainer import Trainer

QUERIES = {
    "a white picture with text": "talk_with_slides",
    "an orange picture, the camera zooms out": "city_evening",
    "a round red thing moves to the right on green": "meadow_games",
    "a square red region in a brown picture": "forest_walk",
    "an orange picture in which hardly anything changes": "still_gallery",
    "a face with a green region at the right": "phone_upright",
    "a square blue region": "toy_shapes",
    "a purple picture with a pink region at the top": "tide",
    "beige and yellow, the camera turns left": "wide_travels",
    "a brown picture, the camera zooms in": "park_uneven",
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("INTERNVID_")]:
            environment.delenv(name)
        environment.setenv("DAGSTER_HOME", str(folder / "dagster"))
        environment.setenv("INTERNVID_LAKE", str(folder / "lake"))
        environment.setenv("INTERNVID_WORKERS", "1")
        session = Session()
        session.instance = dg.DagsterInstance.ephemeral()
        session.resources["trainer"] = Trainer(max_steps=3, threads=1)
        synthetic_videos = render_all(
            folder / "synthetic_videos", [plan for plan in SAMPLE_VIDEOS if plan.name in QUERIES.values()]
        )
        register(session.lake, session.media, list(map(str, synthetic_videos)), run_id="test")
        assert session.bring_up_to_date().failed_runs == {}
        assert session.lake.dataset("clip_embeddings").count_rows() > 0
        yield folder / "lake"


@pytest.mark.parametrize(("words", "synthetic_video"), QUERIES.items())
@pytest.mark.slow
def test_ten_plain_queries_find_the_right_video(lake, words, synthetic_video):
    done = CliRunner().invoke(app, ["search", words, "--lake", str(lake), "--format", "json", "--limit", "1"])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)
    assert Path(found["video"]).stem == synthetic_video
