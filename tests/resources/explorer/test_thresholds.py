"""Thresholds that are moved: their counts are those of the subset's file that they make."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from lake_copies import IN_A_FOLDER

from resources.corpus.subset_files import SubsetFiles
from resources.corpus.subsets import WaterfallRow, connected, read_subset, select_subset
from resources.explorer.clip_index import ClipIndex
from resources.explorer.judging import record
from resources.explorer.thresholds import NotSaved, Step, Thresholds, save, subset_file, waterfall_of
from resources.explorer.view import LakeViews
from resources.lake.store import Lake

CLIPS = 200


@pytest.fixture
def index(lake: Lake) -> ClipIndex:
    """Clips of 1 to 200 s; every tenth has no caption, every third no motion; scores from 0 up, some null or NaN."""
    ids = [f"{number // 10:016x}_{number}" for number in range(CLIPS)]
    same = {"provenance": ["p"] * CLIPS, "digest": [f"d{number}" for number in range(CLIPS)]}
    lake.upsert(
        "clips",
        pl.DataFrame(
            {
                "clip_id": ids,
                "video_id": [clip_id[:16] for clip_id in ids],
                "start_seconds": [5.0] * CLIPS,
                "end_seconds": [6.0 + number for number in range(CLIPS)],
                "motion": [None if number % 3 == 0 else number / CLIPS for number in range(CLIPS)],
                "flags": [["still"] if number % 7 == 0 else [] for number in range(CLIPS)],
            }
            | same
        ),
    )
    captioned = [clip_id for number, clip_id in enumerate(ids) if number % 10]
    lake.upsert(
        "clip_captions",
        pl.DataFrame(
            {"clip_id": captioned, "caption": ["a dog"] * len(captioned), "provenance": ["p"] * len(captioned)}
            | {"digest": ["c"] * len(captioned)}
        ),
    )
    frames = {"frame_id": [f"{clip_id}_0" for clip_id in ids], "clip_id": ids, "provenance": ["p"] * CLIPS}
    lake.upsert("frames", pl.DataFrame(frames))
    values = [
        None if number % 11 == 0 else float("nan") if number % 13 == 0 else number / 20 for number in range(CLIPS)
    ]
    lake.upsert(
        "clip_scores",
        pl.DataFrame(
            {"score_id": [f"{clip_id}/aesthetics" for clip_id in ids], "clip_id": ids, "value": values}
            | {"score": ["aesthetics"] * CLIPS, "provenance": ["p"] * CLIPS}
        ),
    )
    record(lake, ids[199], {"caption": "wrong"}, judge="ann")
    record(lake, ids[198], {"safety": "unsafe"}, judge="ann")
    record(lake, ids[197], {"caption": "partly"}, judge="ann")
    return ClipIndex(LakeViews(lake).newest())


EVERYTHING = Thresholds(
    {"score.aesthetics": (4.6, None), "seconds": (10, 180.5), "motion": (None, 0.95)},
    unflagged=True,
    not_judged_wrong=True,
)


def of_one_condition(rows: list[WaterfallRow]) -> list[tuple[int, int, int]]:
    """removed, unknown and left of each condition after the pool; the file has a row of its own for unknown ones."""
    after_pool = rows[3:]
    steps: list[tuple[int, int, int]] = []
    for row in after_pool:
        if row.is_unknown:
            removed, _, _ = steps.pop()
            steps.append((removed + row.removed, row.removed, row.left))
        else:
            steps.append((row.removed, 0, row.left))
    return steps


@IN_A_FOLDER
@pytest.mark.parametrize(
    "chosen",
    [
        EVERYTHING,
        Thresholds({"score.aesthetics": (4.6, None)}),
        Thresholds({"seconds": (None, 20)}),
        Thresholds({"motion": (0.5, 0.6)}),
        Thresholds(unflagged=True),
        Thresholds(not_judged_wrong=True),
    ],
    ids=["everything", "score", "seconds", "motion", "flags", "judgements"],
)
def test_the_counts_of_thresholds_are_those_of_the_file_that_they_make(lake, index, chosen, tmp_path):
    steps = waterfall_of(index, chosen)
    rows = save(lake, str(tmp_path), "mine", subset_file(chosen, title="Mine"))
    assert steps[0] == Step("clips that a subset may have", 20, 0, 180)
    assert [(step.removed, step.unknown, step.left) for step in steps[1:]] == of_one_condition(rows)
    assert 0 < steps[-1].left < 180, "it removes something, and not everything"


@IN_A_FOLDER
def test_what_was_judged_wrong_and_has_changed_since_is_kept(lake, index, tmp_path):
    chosen = Thresholds(not_judged_wrong=True)
    assert waterfall_of(index, chosen)[-1].removed == 2, "a caption that is wrong, and a clip that is unsafe"
    clip_id = index.ids_of([199])[0]
    written = {"clip_id": [clip_id], "caption": ["a cat"], "provenance": ["p2"], "digest": ["another"]}
    lake.upsert("clip_captions", pl.DataFrame(written))
    assert waterfall_of(ClipIndex(LakeViews(lake).newest()), chosen)[-1].removed == 1


@IN_A_FOLDER
def test_a_saved_subset_is_one_like_the_others_with_its_thresholds_as_parameters(lake, index, tmp_path):
    text = subset_file(EVERYTHING, title='My "best": clips\n-- x', description="Saved by ann.\n-- ---\nselect 1")
    save(lake, str(tmp_path), "best", text)
    assert (tmp_path / "best.sql").read_text() == text
    subset = SubsetFiles(folder=str(tmp_path)).named("best")
    assert subset.title == 'My "best": clips -- x'
    assert subset.description == "Saved by ann. -- --- select 1"
    assert subset.parameters["min_aesthetics"].default == 4.6
    assert subset.conditions["seconds_in_range"] == "duration in seconds from $min_seconds to $max_seconds"
    with connected(lake, subset, at=None) as connection:
        rows = select_subset(connection, subset, {"min_aesthetics": 8.0}).read_all().to_pylist()
    assert rows
    assert all(float(row["reason"].split(",")[0].removeprefix("aesthetics ")) >= 8 for row in rows)


@IN_A_FOLDER
def test_nothing_is_saved_over_another_subset_or_outside_of_the_folder(lake, index, tmp_path):
    text = subset_file(Thresholds(unflagged=True), title="Mine")
    save(lake, str(tmp_path), "mine", text)
    other = subset_file(Thresholds(not_judged_wrong=True), title="Mine")
    for folder, name, message in [
        (str(tmp_path), "mine", "there is a subset mine already"),
        (str(tmp_path), "aes", "there is a subset aes already"),
        (str(tmp_path), "../mine", "is no name of a subset"),
        (str(tmp_path), "Mine", "is no name of a subset"),
        (None, "mine", "name one in INTERNVID_SUBSETS"),
        (str(tmp_path / "gone"), "mine", "which is not a folder"),
    ]:
        with pytest.raises(NotSaved, match=message):
            save(lake, folder, name, other)
    assert [path.name for path in tmp_path.glob("*.sql")] == ["mine.sql"]
    assert read_subset(tmp_path / "mine.sql").conditions.keys() == {"unflagged"}


def test_a_score_whose_name_is_no_word_cannot_stand_in_a_file():
    with pytest.raises(NotSaved, match="cannot stand in a subset's file"):
        subset_file(Thresholds({"score.it's; drop table": (1, None)}), title="Mine")
    with pytest.raises(NotSaved, match="choose a threshold first"):
        subset_file(Thresholds({"seconds": (None, None)}), title="Mine")


def test_numbers_stand_in_the_file_as_people_write_them():
    text = subset_file(Thresholds({"motion": (1e-05, 10.0)}), title=str(Path("a")))
    assert "default: 0.00001," in text
    assert "default: 10," in text
