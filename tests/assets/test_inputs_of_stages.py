"""What the rows of a stage are made from: another digest of any row that it reads asks for other rows."""

import lance

from orchestration.cli.session import Session
from resources.incremental.declaration import configured_stages
from resources.incremental.stage import Stage
from resources.incremental.state import unit_states
from resources.lake.schema import TABLES
from resources.lake.store import Lake
from resources.models.aligner import ActiveCheckpoint, activate

# (stage, table): why other content of the table is nothing to the stage.
NOT_FOLLOWED = {
    ("clips", "raw_videos"): "the id of a video is that of its bytes",
    ("fingerprints", "raw_videos"): "the same",
    ("speech", "raw_videos"): "the same",
    ("transcripts", "clips"): "the id of a clip names its span",
    ("clip_scores", "clips"): "the same",
    ("clip_scores", "clip_captions"): "without vectors, no score is of captions",
}


def expected(lake: Lake, stage: Stage, batch: str) -> list[tuple[str, list[str]]]:
    """The units of the stage in the batch, with the provenances that their rows should carry."""
    with unit_states(lake, stage, batch) as connection:
        return connection.sql("select unit, provenances from state order by unit").fetchall()


def test_other_content_of_what_a_stage_reads_asks_for_other_rows(session: Session):
    lake = session.lake
    activate(lake, ActiveCheckpoint("model", "/nowhere", "digest"))
    (batch,) = set(lake.polars("sources")["ingest_batch"])
    followed, not_followed = set(), set()
    for definition, stage in zip(
        session.stages, configured_stages(lake, session.stages, session.resources), strict=True
    ):
        before = expected(lake, stage, batch)
        for name in definition.inputs:
            if name not in TABLES or "digest" not in TABLES[name].column_names or not lake.dataset(name).count_rows():
                continue
            version = lake.version(name)
            lake.dataset(name).update({"digest": "'other'"})
            pair = (definition.name, name)
            (followed if expected(lake, stage, batch) != before else not_followed).add(pair)
            lance.dataset(lake.uri(name), version=version).restore()
    assert not_followed == NOT_FOLLOWED.keys()
    assert len(followed) >= len(session.stages) / 2
