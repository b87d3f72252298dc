"""`internvid search` over the sample films: plain words lead to the right one, also beside a model that has hardly
learnt anything, as the first one of a small lake.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from assets.sources import register
from internvid.films.render import SAMPLE_FILMS, render_all
from orchestration.command_line import app
from orchestration.house import House
from resources.trainer import Trainer

QUERIES = {
    "text on a white page": "talk_with_slides",
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
        house = House(None)
        house.instance = dg.DagsterInstance.ephemeral()
        house.resources["trainer"] = Trainer(steps_at_most=3, threads=1)
        films = render_all(folder / "films", [plan for plan in SAMPLE_FILMS if plan.name in QUERIES.values()])
        register(house.lake, house.media, list(map(str, films)), run_id="test")
        assert house.bring_up_to_date().failed_batches == {}
        assert house.lake.dataset("clip_embeddings").count_rows() > 0
        yield folder / "lake"


@pytest.mark.parametrize(("words", "film"), QUERIES.items())
def test_ten_plain_queries_find_the_right_film(lake, words, film):
    done = CliRunner().invoke(app, ["search", words, "--lake", str(lake), "--format", "json", "--limit", "1"])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)
    assert Path(found["video"]).stem == film
