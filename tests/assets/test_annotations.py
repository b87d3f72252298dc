"""Released spans and captions: imported in every form, told from what is bad, and clips once their video is there."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import polars as pl
import pytest

from assets.video.clips import clips_and_frames
from orchestration.cli.session import RunSummary, Session
from resources.catalog.annotations import Imported, import_annotations, remove_others
from resources.catalog.web import source_id_of
from resources.incremental.declaration import StageScope
from resources.incremental.runner import process_pending
from resources.lake.statements import statement
from resources.lake.store import Lake

pytestmark = pytest.mark.slow

WATCH = "https://www.youtube.com/watch?v="


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(root=str(tmp_path / "lake"))


def tallied(imported: Imported) -> dict[str, int]:
    return {name: value for name, value in vars(imported).items() if name != "batches" and value}


def youtube_id(number: int) -> str:
    return f"{number:011d}"


def internvid(path: Path, spans: int) -> Path:
    with path.open("w") as file:
        for number in range(spans):
            second = 10 * (number % 2)
            line = {
                "YoutubeID": youtube_id(number // 2),
                "Start_timestamp": f"00:00:{second:02d}.500",
                "End_timestamp": f"00:00:{second + 5:02d}.250",
                "Caption": f"woman using a computer mouse, {number}",
                "Aesthetic_Score": 4.5,
                "UMT_Score": 0.375,
            }
            file.write(f"{json.dumps(line)}\n")
    return path


def webvid(path: Path, spans: int) -> Path:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["videoid", "contentUrl", "duration", "page_dir", "name"])
        for number in range(spans):
            url = f"https://ak.picdn.net/shutterstock/videos/{number}/preview/stock-footage.mp4"
            rows.writerow([number, url, "PT00H00M11S", "000001_000050", f'Aerial, "shot" of a lake {number}'])
    return path


def panda(path: Path, spans: int) -> Path:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["videoID", "url", "timestamp", "caption", "matching_score"])
        for number in range(spans // 2):
            times = [["0:00:01.500", "0:00:09.250"], ["0:00:09.250", "0:00:12.000"]]
            captions = [f"A man's dog {number}", f"Two cars {number}"]
            video = youtube_id(number)
            rows.writerow([video, f"{WATCH}{video}", str(times), str(captions), str([0.4375, 0.5])])
    return path


@pytest.mark.parametrize(
    ("name", "write", "videos", "first"),
    [
        (
            "internvid.jsonl",
            internvid,
            1500,
            (
                f"{WATCH}00000000000",
                0.5,
                5.25,
                "woman using a computer mouse, 0",
                '{"aesthetic_score": 4.5, "umt_score": 0.375}',
            ),
        ),
        (
            "webvid.csv",
            webvid,
            3000,
            (
                "https://ak.picdn.net/shutterstock/videos/0/preview/stock-footage.mp4",
                0.0,
                None,
                'Aerial, "shot" of a lake 0',
                None,
            ),
        ),
        ("panda.csv", panda, 1500, (f"{WATCH}00000000000", 1.5, 9.25, "A man's dog 0", '{"matching_score": 0.4375}')),
    ],
)
def test_a_released_file_becomes_sources_and_annotations_once(lake, tmp_path, name, write, videos, first):
    path = write(tmp_path / name, 3000)
    assert tallied(import_annotations(lake, path, "set-1", "r1")) == {"rows": 3000, "new": 3000, "sources_new": videos}
    assert tallied(import_annotations(lake, path, "set-1", "r2")) == {"rows": 3000, "unchanged": 3000}

    rows = lake.polars("annotations")
    assert rows.height == 3000
    assert rows["annotation_id"].n_unique() == 3000
    assert set(rows["run_id"]) == {"r1"}
    uri, start, end, caption, scores = first
    (row,) = rows.filter(pl.col("caption") == caption).to_dicts()
    assert row["annotation_id"].startswith("set-1/")
    assert (row["source_id"], row["start_seconds"], row["end_seconds"], row["scores"]) == (
        source_id_of(uri),
        start,
        end,
        scores,
    )
    sources = lake.polars("sources")
    assert sources.height == videos
    assert set(sources["source_id"]) == set(rows["source_id"])
    assert set(sources["found_by"]) == {"set-1"}
    assert lake.polars("attempts").height == 0


def spans_file(path: Path, *rows: list) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["url", "start", "end", "caption", "score"], *rows])
    return path


def test_bad_rows_stand_in_attempts_until_a_better_file_of_that_name_is_imported(lake, tmp_path):
    good = ["https://a.example/1", "1", "2", "a dog", "0.5"]
    path = spans_file(
        tmp_path / "spans.csv",
        good,
        ["https://a.example/1", "5", "2", "a cat", ""],
        ["ftp://a.example/1", "1", "2", "a cat", ""],
        [str(tmp_path / "video.mp4"), "1", "2", "a cat", ""],
        good,
    )
    assert tallied(import_annotations(lake, path, "set-1", "r1")) == {"rows": 5, "new": 1, "unchanged": 1} | {
        "bad": 3,
        "sources_new": 1,
    }
    attempts = lake.polars("attempts").sort("key")
    assert attempts.select("stage", "key", "label", "outcome", "error_class").rows() == [
        ("annotations", "set-1/spans.csv/3", str(path), "failed", "BadRow"),
        ("annotations", "set-1/spans.csv/4", str(path), "failed", "BadRow"),
        ("annotations", "set-1/spans.csv/5", str(path), "failed", "UnknownFile"),
    ]
    assert "ends at 2 s, before it begins" in attempts["message"][0]
    assert "no http or https URL" in attempts["message"][1]
    assert "internvid ingest" in attempts["message"][2]

    spans_file(
        path, good, ["https://a.example/1", "5", "7", "a cat", ""], ["https://a.example/1", "9", "7", "a cat", ""]
    )
    assert tallied(import_annotations(lake, path, "set-1", "r2")) == {"rows": 3, "new": 1, "unchanged": 1, "bad": 1}
    assert lake.polars("attempts")["key"].to_list() == ["set-1/spans.csv/4"]


def test_what_a_later_file_lacks_stays_unless_it_replaces_the_earlier(lake, tmp_path):
    one, two = ["https://a.example/1", "1", "2", "a dog", "0.5"], ["https://a.example/1", "3", "4", "a cat", "0.5"]
    path = spans_file(tmp_path / "spans.csv", one, two)
    import_annotations(lake, path, "set-1", "r1")
    import_annotations(lake, path, "set-2", "r1")

    spans_file(path, [*one[:4], "0.75"])
    assert tallied(import_annotations(lake, path, "set-1", "r2")) == {"rows": 1, "changed": 1}
    captions = lake.polars("annotations").select("dataset", "caption", "scores").sort("dataset", "caption").rows()
    assert captions == [
        ("set-1", "a cat", '{"score": 0.5}'),
        ("set-1", "a dog", '{"score": 0.75}'),
        ("set-2", "a cat", '{"score": 0.5}'),
        ("set-2", "a dog", '{"score": 0.5}'),
    ]

    assert tallied(import_annotations(lake, path, "set-1", "r3", mark_all=True)) == {"rows": 1, "unchanged": 1}
    assert remove_others(lake, "set-1", "r3") == 1
    left = lake.polars("annotations").select("dataset", "caption").sort("dataset", "caption").rows()
    assert left == [("set-1", "a dog"), ("set-2", "a cat"), ("set-2", "a dog")]


@pytest.mark.parametrize("name", ["", "InternVid", "a/b", "../a", "a b", "x" * 65])
def test_a_name_that_could_not_stand_in_a_clips_id_is_refused(lake, tmp_path, name):
    with pytest.raises(ValueError, match="cannot name a dataset"):
        import_annotations(lake, tmp_path / "none.csv", name, "r1")


# --- once the video is there ------------------------------------------------------------------------------------

Ingest = Callable[..., RunSummary]


def local_spans(path: Path, *rows: list) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["path", "start", "end", "caption"], *rows])
    return path


def run(session: Session) -> None:
    summary = RunSummary()
    session.run_pending_batches(summary)
    assert summary.failed_runs == {}


def imported_clips(lake: Lake) -> pl.DataFrame:
    clips = lake.polars("clips").filter(pl.col("annotation_id").is_not_null())
    return clips.sort("clip_index").join(lake.polars("clip_captions"), on="clip_id", how="left", suffix="_of_caption")


def of_clips_cut_here(lake: Lake) -> dict[str, list[dict]]:
    """The paper's tables, and the hours of the summary."""
    names = ("table_1", "figure_4a_clip_durations", "figure_4b_caption_words", "boundaries", "videos_by_clips")
    found = {name: lake.query(statement(f"statistics/{name}")).to_pylist() for name in names}
    return found | {"hours": lake.query(statement("corpus/summary")).select(["hours"]).to_pylist()}


def decoded(path: Path, index: int) -> np.ndarray:
    """[height, width] uint8: the frame's luma, by a direct decode."""
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == index:
                return frame.to_ndarray(format="gray")
    raise AssertionError("no such frame")


def test_imported_spans_become_clips_beside_ours_with_their_captions_and_everything_else(
    session, folder, tmp_path, whole_tables
):
    lake, synthetic_video = session.lake, folder / "one.mp4"
    ours = ("raw_videos", "clips", "frames", "frame_captions", "clip_captions")
    before, counted = whole_tables(lake, *ours), of_clips_cut_here(lake)
    path = local_spans(
        tmp_path / "spans.csv",
        [str(synthetic_video), "0.5", "2.0", "a pink circle moves"],
        [synthetic_video.as_uri(), "1.0", "", ""],
        [str(synthetic_video), "0", "1.5", "the span of our first clip"],
        [str(synthetic_video), "0", "1.5", "another caption of it"],
        [str(synthetic_video), "7", "9", "beyond the end"],
    )
    assert tallied(import_annotations(lake, path, "set-1", "r1")) == {"rows": 5, "new": 5}
    run(session)

    clips = imported_clips(lake)
    assert clips.select(
        "start_seconds", "end_seconds", "start_frame", "end_frame", "clip_index", "boundary"
    ).rows() == [
        (0.0, 1.5, 0, 15, 0, "imported"),
        (0.0, 1.5, 0, 15, 1, "imported"),
        (0.5, 2.0, 5, 20, 2, "imported"),
        (1.0, 3.0, 10, 30, 3, "imported"),
    ]
    captioned = clips.filter(pl.col("model") == "set-1")
    assert sorted(captioned.select("start_seconds", "caption", "status", "evidence", "version_of_caption").rows()) == [
        (0.0, "another caption of it", "success", None, "imported+words-3+hanta-1.2"),
        (0.0, "the span of our first clip", "success", None, "imported+words-3+hanta-1.2"),
        (0.5, "a pink circle moves", "success", None, "imported+words-3+hanta-1.2"),
    ]
    assert captioned.filter(pl.col("start_seconds") == 0.5)["nouns"].to_list() == [["circle"]]
    (without,) = clips.filter(pl.col("start_seconds") == 1.0).to_dicts()
    assert without["model"] not in (None, "set-1")
    assert without["caption"]

    frames = lake.polars("frames").filter(pl.col("annotation_id").is_not_null())
    assert set(frames["clip_id"]) == set(clips["clip_id"])
    assert set(lake.polars("frame_captions")["clip_id"]) & set(clips["clip_id"]) == {without["clip_id"]}
    (first,) = frames.filter(pl.col("seconds") == 0.5).to_dicts()
    shown = cv2.imdecode(np.frombuffer(first["jpeg"], np.uint8), cv2.IMREAD_GRAYSCALE)
    there, next_to_it = (np.abs(decoded(synthetic_video, index).astype(int) - shown).mean() for index in (5, 6))
    assert there < 3
    assert there < next_to_it

    (attempt,) = lake.polars("attempts").filter(pl.col("stage") == "annotations").to_dicts()
    assert (attempt["error_class"], attempt["message"].split(",")[0]) == ("SpanNotThere", "it begins at 7 s")
    assert attempt["key"].startswith("set-1/")
    assert of_clips_cut_here(lake) == counted
    after = whole_tables(lake, *ours)
    for table, rows in before.items():
        assert {key: after[table][key] for key in rows} == rows, table
    assert set(lake.polars("clip_scores")["clip_id"]) >= set(clips["clip_id"])
    assert {stage: number["pending"] for stage, number in session.counts().items()} == dict.fromkeys(
        [stage.name for stage in session.stages], 0
    )


def test_a_second_import_makes_only_what_is_new_and_what_is_gone_goes(session, folder, tmp_path):
    lake, synthetic_video = session.lake, folder / "one.mp4"
    path = local_spans(tmp_path / "spans.csv", [str(synthetic_video), "0.5", "2.0", "a pink circle moves"])
    import_annotations(lake, path, "set-1", "r1")
    run(session)
    (first,) = imported_clips(lake).to_dicts()
    runs = dict(lake.polars("clips").select("clip_id", "run_id").rows())

    local_spans(
        path, [str(synthetic_video), "0.5", "2.0", "a circle, pink"], [str(synthetic_video), "1.0", "1.4", "short"]
    )
    import_annotations(lake, path, "set-1", "r2", mark_all=True)
    assert remove_others(lake, "set-1", "r2") == 1
    run(session)
    clips = imported_clips(lake)
    assert clips.select("start_seconds", "caption").rows() == [(0.5, "a circle, pink"), (1.0, "short")]
    assert first["clip_id"] not in clips["clip_id"]
    ours = lake.polars("clips").filter(pl.col("annotation_id").is_null())
    assert all(runs[clip_id] == run_id for clip_id, run_id in ours.select("clip_id", "run_id").rows())
    for table in ("frames", "clip_captions", "clip_scores"):
        assert first["clip_id"] not in lake.polars(table)["clip_id"]

    remove_others(lake, "set-1", "r3")
    stage = clips_and_frames.configured(StageScope(lake), session.resources)
    (batch,) = set(ours["ingest_batch"])
    assert process_pending(lake, stage, lambda units: (), partition=batch, run_id="r4").removed["clips"] == 2
    assert imported_clips(lake).height == 0
    assert lake.polars("clips").height == ours.height


def test_a_video_that_has_none_of_its_spans_is_skipped_with_the_reason(session, folder, tmp_path):
    path = local_spans(tmp_path / "spans.csv", [str(folder / "one.mp4"), "7", "9", "beyond"])
    import_annotations(session.lake, path, "set-1", "r1")
    run(session)
    of_units = session.counts()["clips"]
    assert (of_units["total"], of_units["done"], of_units["skipped"], of_units["pending"]) == (3, 2, 1, 0)
    (skipped,) = session.lake.polars("attempts").filter(pl.col("stage") == "clips").to_dicts()
    assert skipped["message"] == "none of the 1 spans that are annotated in it lies within it"


def test_the_checks_of_the_lake_pass_with_imported_clips_in_it(session, folder, tmp_path):
    synthetic_video = str(folder / "one.mp4")
    path = local_spans(tmp_path / "spans.csv", [synthetic_video, "0.5", "2.0", "a pink circle moves"])
    import_annotations(session.lake, path, "set-1", "r1")
    run(session)
    result = session._definitions.resolve_job_def("check_lake").execute_in_process(instance=session.instance)
    assert {check.check_name for check in result.get_asset_check_evaluations() if not check.passed} == set()
