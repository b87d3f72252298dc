"""The alarms of a batch's captions: silent where captions are right, and each with a name for what was planted."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from lake_copies import linked_copy

from assets.checks.captions import caption_alarms, captions_are_sound, vectors_to_match
from orchestration.definitions import definitions
from resources.lake.schema import TABLES, VECTOR_SIZE
from resources.lake.store import Lake
from resources.models.aligner import ActiveCheckpoint, activate

CHECKPOINT = ActiveCheckpoint("m", "/nowhere", "d" * 32)
BATCHES = ("2026-01-01-0001", "2026-01-01-0002")
VIDEOS, CLIPS_OF_A_VIDEO = 4, 5


def meaning(text: str) -> np.ndarray:
    """A text's vector, as a model would give: the same for the same text."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).normal(size=VECTOR_SIZE)
    return vector / np.linalg.norm(vector)


def seen(text: str, clip_id: str) -> np.ndarray:
    """The vector of a clip that shows what the text says, with all else that it shows."""
    vector = meaning(text) + 2.0 * meaning(clip_id)
    return vector / np.linalg.norm(vector)


class Planted:
    """A lake of two batches, each of four videos of five clips, with captions and vectors written by hand."""

    def __init__(self, root: Path) -> None:
        """root: of a lake that `write_rows` has filled, or of an empty one."""
        self.lake = Lake(root=str(root))
        self.clip_ids = {
            batch: [f"{batch[-1]}{video}_{clip}" for video in range(VIDEOS) for clip in range(CLIPS_OF_A_VIDEO)]
            for batch in BATCHES
        }
        alarms = dg.define_asset_job("alarms", dg.AssetSelection.checks(caption_alarms, captions_are_sound))
        self.definitions = dg.Definitions.merge(
            definitions(resources={"lake": self.lake}), dg.Definitions(jobs=[alarms])
        )
        self.instance = dg.DagsterInstance.ephemeral()

    def write_rows(self) -> None:
        self.lake.create_tables()
        activate(self.lake, CHECKPOINT)
        for batch, clip_ids in self.clip_ids.items():
            vectors = {clip_id: seen(self.right_caption(clip_id), clip_id) for clip_id in clip_ids}
            self.embed("clip_embeddings", batch, vectors)
            self.caption(batch, [self.right_caption(clip_id) for clip_id in clip_ids])

    def right_caption(self, clip_id: str) -> str:
        return f"what happens in {clip_id}"

    def caption(self, batch: str, captions: Sequence[str], **columns: Any) -> None:
        """Gives the batch's clips these captions, and makes the captions' vectors anew, as an ingest does."""
        clip_ids = self.clip_ids[batch]
        self.write(
            "clip_captions",
            batch,
            [
                {
                    "clip_id": clip_id,
                    "video_id": clip_id.split("_")[0],
                    "caption": caption,
                    "status": "success",
                    **columns,
                }
                for clip_id, caption in zip(clip_ids, captions, strict=True)
            ],
        )
        self.embed(
            "caption_embeddings",
            batch,
            {clip_id: meaning(text) for clip_id, text in zip(clip_ids, captions, strict=True)},
        )

    def embed(self, table: str, batch: str, vectors: dict[str, np.ndarray]) -> None:
        rows = [{"clip_id": clip_id, "model": "m", "vector": vector} for clip_id, vector in vectors.items()]
        self.write(table, batch, rows)

    def write(self, table: str, batch: str, rows: list[dict[str, Any]]) -> None:
        self.lake.delete(table, [row[TABLES[table].key] for row in rows])
        schema = TABLES[table].arrow
        full = [dict.fromkeys(schema.names) | row | {"ingest_batch": batch} for row in rows]
        self.lake.upsert(table, pa.Table.from_pylist(full, schema=schema))

    def checked(self, batch: str) -> dict[str, dg.AssetCheckEvaluation]:
        """As the run that writes the batch does."""
        return self.evaluations({"dagster/partition": batch})

    def evaluations(self, tags: dict[str, str]) -> dict[str, dg.AssetCheckEvaluation]:
        job = self.definitions.resolve_job_def("alarms")
        result = job.execute_in_process(tags=tags, instance=self.instance)
        return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}

    def failing(self, batch: str) -> set[str]:
        return {name for name, evaluation in self.checked(batch).items() if not evaluation.passed}


@pytest.fixture(scope="module")
def with_right_captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("planted") / "lake"
    Planted(root).write_rows()
    return root


@pytest.fixture
def planted(with_right_captions: Path, tmp_path: Path) -> Planted:
    return Planted(linked_copy(with_right_captions, tmp_path / "lake"))


def test_captions_that_slipped_to_other_clips_of_one_batch_fail_that_batch_and_no_other(planted: Planted) -> None:
    assert [planted.failing(batch) for batch in BATCHES] == [set(), set()]
    right = [planted.right_caption(clip_id) for clip_id in planted.clip_ids[BATCHES[0]]]
    planted.caption(BATCHES[0], right[1:] + right[:1])
    found = planted.checked(BATCHES[0])
    assert {name: check.passed for name, check in found.items()} == {
        "captions_fit_their_clips": False,
        "captions_fit_within_videos": False,
        "captions_are_sound": True,
    }
    alarm = found["captions_fit_their_clips"]
    assert alarm.severity == dg.AssetCheckSeverity.ERROR
    assert alarm.metadata["clips"].value == 20
    assert alarm.metadata["p_value"].value > 0.05
    assert planted.failing(BATCHES[1]) == set()
    of_all = planted.evaluations({})["captions_fit_their_clips"]
    assert (of_all.metadata["batches"].value, of_all.metadata["batches_failed"].value) == (2, 1)
    assert (of_all.description or "").startswith(f"{BATCHES[0]}: captions are NO nearer to their own clips")
    planted.caption(BATCHES[0], right)
    assert planted.failing(BATCHES[0]) == set()


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("no model", "no model is active"),
        ("an unproved model", "no better than by chance"),
        ("few captions", "not checked: 7 clips with distinct captions, fewer than 8"),
    ],
)
def test_what_cannot_be_told_is_no_alarm_and_says_so(planted: Planted, why: str, said: str) -> None:
    right = [planted.right_caption(clip_id) for clip_id in planted.clip_ids[BATCHES[0]]]
    planted.caption(BATCHES[0], right[1:] + right[:1])
    if why == "no model":
        planted.lake.delete("active_checkpoint", ["aligner"])
    elif why == "an unproved model":
        metric = {"evaluation_id": "m/held_out/r", "checkpoint_id": "m", "metric": "text_to_video_recall_at_1"}
        metric |= {"benchmark": "held_out", "value": 5.0, "chance": 5.0, "items": 20}
        row = dict.fromkeys(TABLES["evaluations"].column_names) | metric
        planted.lake.upsert("evaluations", pa.Table.from_pylist([row], schema=TABLES["evaluations"].arrow))
    else:
        planted.caption(BATCHES[0], [f"one of seven: {index % 7}" for index in range(len(right))])
    found = planted.checked(BATCHES[0])["captions_fit_their_clips"]
    assert found.passed
    assert said in (found.description or "")


def test_truncated_empty_and_repeated_captions_are_a_warning_that_names_their_share(planted: Planted) -> None:
    right = [planted.right_caption(clip_id) for clip_id in planted.clip_ids[BATCHES[0]]]
    stuck = ["a picture of a picture"] * 10 + ["", *right[11:]]
    planted.caption(BATCHES[0], stuck, status="truncated")
    check = planted.checked(BATCHES[0])["captions_are_sound"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.description == (
        f"{BATCHES[0]}: summary: share empty 5%, more than 2%; summary: share truncated 100%, more than 10%; "
        "summary: share repeated 50%, more than 20% ('a picture of a picture')"
    )


def test_one_caption_on_many_clips_of_one_video_is_no_fault(planted: Planted) -> None:
    right = [planted.right_caption(clip_id) for clip_id in planted.clip_ids[BATCHES[0]]]
    planted.caption(BATCHES[0], ["a test card"] * CLIPS_OF_A_VIDEO + right[CLIPS_OF_A_VIDEO:])
    assert planted.failing(BATCHES[0]) == set()


def test_answers_that_were_empty_count_as_empty_captions(planted: Planted) -> None:
    attempts = [
        {"attempt_id": f"clip_captions/x{index}", "stage": "clip_captions", "key": f"x{index}", "outcome": "failed"}
        | {"error_class": "EmptyAnswer", "partition": BATCHES[0]}
        for index in range(2)
    ]
    schema = TABLES["attempts"].arrow
    rows = [dict.fromkeys(schema.names) | attempt for attempt in attempts]
    planted.lake.upsert("attempts", pa.Table.from_pylist(rows, schema=schema))
    check = planted.checked(BATCHES[0])["captions_are_sound"]
    assert check.description == f"{BATCHES[0]}: summary: share empty 9%, more than 2%"
    assert planted.failing(BATCHES[1]) == set()


@pytest.mark.slow
def test_a_caption_of_another_clips_frame_fails_the_check_of_keys(planted: Planted) -> None:
    # Two frames whose captions changed places: every count adds up, only the keys tell.
    frames = [{"frame_id": f"c{n}_0", "clip_id": f"c{n}", "video_id": "v", "is_middle": True} for n in (1, 2)]
    planted.write("frames", BATCHES[0], frames)
    planted.write("clips", BATCHES[0], [{"clip_id": f"c{n}", "video_id": "v"} for n in (1, 2)])
    captions = [
        {"frame_caption_id": f"c{n}_0/coarse", "frame_id": f"c{n}_0", "clip_id": f"c{of}", "video_id": "v"}
        | {"scale": "coarse", "caption": "c"}
        for n, of in ((1, 1), (2, 2))
    ]

    def found() -> dict[str, int]:
        job = planted.definitions.resolve_job_def("check_lake")
        checks = job.execute_in_process(instance=planted.instance).get_asset_check_evaluations()
        (check,) = (check for check in checks if check.check_name == "keys_equal_frame_keys")
        return {name: value.value for name, value in check.metadata.items() if value.value}

    planted.write("frame_captions", BATCHES[0], captions)
    assert found() == {}
    planted.write("frame_captions", BATCHES[0], [captions[0] | {"clip_id": "c2"}, captions[1] | {"clip_id": "c1"}])
    assert found() == {"captions_of_another_clip": 2}
    planted.lake.delete("frame_captions", ["c1_0/coarse"])
    assert found() == {"captions_of_another_clip": 1, "frames_without_caption": 1}
    planted.lake.delete("frames", ["c1_0", "c2_0"])
    assert found() == {"captions_without_frame": 1}


def test_the_vectors_are_those_of_the_batch_and_the_active_model(planted: Planted) -> None:
    videos, captions, video_of = vectors_to_match(planted.lake, CHECKPOINT, BATCHES[1])
    stored = planted.lake.polars("clip_embeddings", only={"ingest_batch": BATCHES[1]})
    assert videos.shape == captions.shape == (20, VECTOR_SIZE)
    assert sorted(set(video_of)) == ["20", "21", "22", "23"]
    assert stored["vector"].len() == 20
    other = ActiveCheckpoint("another", "/nowhere", "e" * 32)
    assert [len(part) for part in vectors_to_match(planted.lake, other, BATCHES[1])] == [0, 0, 0]
