"""`clip_things` in a lake: the kinds seen in a real video are in its caption and in what search finds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from real_videos import REAL_VIDEOS, needs_real_videos

from internvid.things.classifier import DIMENSIONS, MODEL
from orchestration.cli.session import RunSummary, Session
from resources.lake.schema import VECTOR_SIZE
from resources.models.classifier import NoClassifier


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name in ("tractor_vp9.webm", "grid_bbaf2n.mpg", "grid_lwbsza.mpg"):
        shutil.copy(REAL_VIDEOS / "open" / name, folder)
    return folder


@needs_real_videos
def test_a_thing_is_in_the_caption_in_search_and_among_similar_clips_and_goes_with_its_classifier(
    session: Session, open_session: Callable[[], Session], ingest: Callable[..., RunSummary], folder: Path
):
    ingest(session, folder)
    lake = session.lake
    rows = {row["clip_id"]: row for row in lake.polars("clip_things").to_dicts()}
    assert {row["model"] for row in rows.values()} == {MODEL}
    for row in rows.values():
        assert len(row["kinds"]) == len(row["probabilities"]) == len(row["peaks"])
        assert not np.any(row["vector"][DIMENSIONS:])
    (tractor,) = [clip for clip, row in rows.items() if "a tractor" in row["kinds"]]
    assert rows[tractor]["kinds"][0] == "a tractor"

    (best,) = lake.search("farm", limit=1).to_pylist()
    assert best["clip_id"] == tractor
    assert best["caption"].startswith("A tractor is seen.")
    assert "farm" not in best["caption"]
    sources = dict(lake.polars("raw_videos").select("video_id", "source").rows())
    faces = [clip for clip, row in rows.items() if "grid_" in sources[row["video_id"]]]
    assert len(faces) == 2
    assert lake.similar(faces[0], limit=1)["clip_id"].to_pylist() == [faces[1]]
    # A model's ranking beside the classifier's: one that is no better than chance changes nothing.
    made = np.zeros((3, VECTOR_SIZE), np.float32)
    made[[0, 1, 2], [0, 0, 1]] = 1
    same = {name: ["made"] * 3 for name in ("model", "provenance", "ingest_batch")}
    vector = pa.FixedSizeListArray.from_arrays(pa.array(made.ravel()), VECTOR_SIZE)
    lake.upsert("clip_embeddings", pa.table({"clip_id": [faces[0], tractor, faces[1]], "vector": vector, **same}))
    assert lake.similar(faces[0], limit=1, model_weight=0)["clip_id"].to_pylist() == [faces[1]]
    assert lake.similar(faces[0], limit=1, model_weight=100)["clip_id"].to_pylist() == [tractor]
    with pytest.raises(ValueError, match="has no vector in clip_things"):
        lake.similar("nothing")

    session = open_session()
    session.resources["classifier"] = NoClassifier()
    summary = ingest(session, folder)
    assert summary.rows["clip_things"] == {"added": 0, "changed": 0, "removed": len(rows)}
    assert not lake.search("farm", limit=1).num_rows
