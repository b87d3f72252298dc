"""Films in, a captioned corpus out: what a change costs, and that every table agrees with the others."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import polars as pl
import pytest

from assets.corpus_snapshot import is_current, take_snapshot
from assets.internvid_jsonl import export
from assets.sources import register
from assets.statistics import statistics
from internvid.captions.measured import FrameCaption
from internvid.video.jpeg import rgb_of_jpeg
from orchestration.house import House, Work
from resources.captioner import EmbeddedCaptioner
from resources.lake import Lake
from resources.media import Media
from resources.schema import PINNED

ODD = Path(__file__).resolve().parents[3] / "shared" / "videos" / "odd"
DERIVED = ("raw_videos", "clips", "frames", "frame_captions", "clip_captions")
OF_SPEECH = ("speech", "transcripts")  # nobody speaks in these films: test_speech.py has some in which somebody does


def written_by(lake: Lake, *tables: str) -> dict[str, dict[str, str]]:
    """Table -> key -> the run that wrote the row. What was not written again was not computed for it."""
    return {table: dict(lake.polars(table).select(pl.first(), "run_id").rows()) for table in tables}


def versions(lake: Lake, *tables: str) -> dict[str, int]:
    return {table: lake.version(table) for table in tables}


def stages(house: House) -> dict[str, dict[str, int]]:
    """Stage -> units by state, where there are any: none of those that wait for a model, or for words."""
    counts = {step.name: {state: number for state, number in found.items() if number} for step, found in house.counts()}
    return {name: found for name, found in counts.items() if found and name not in OF_SPEECH}


def changes(work: Work) -> dict[str, dict[str, int]]:
    """Table -> rows added, changed, removed, where there are any."""
    found = {table: {kind: number for kind, number in rows.items() if number} for table, rows in work.rows.items()}
    return {table: rows for table, rows in found.items() if rows}


def attempts(lake: Lake) -> list[tuple[Any, ...]]:
    rows = lake.polars("attempts").filter(~pl.col("stage").is_in(OF_SPEECH)).sort("key")
    return rows.select("stage", "outcome", "error_class", "message", "related_key").rows()


def sources(lake: Lake) -> dict[str, str]:
    """File name -> the video whose source it is."""
    rows = lake.polars("raw_videos").select("source", "video_id").rows()
    return {Path(source).name: video_id for source, video_id in rows}


# --- the whole way ----------------------------------------------------------------------------------------------


def test_films_become_rows_of_every_table_and_the_tables_agree(house, folder):
    lake = house.lake
    videos, clips, frames, frame_captions, clip_captions = (lake.polars(table) for table in DERIVED)

    assert sorted(videos["source"]) == [(folder / name).as_uri() for name in ("one.mp4", "two.mp4")]
    assert sorted(videos["path"]) == [str(folder / name) for name in ("one.mp4", "two.mp4")]
    assert videos.select("duration_seconds", "frame_count", "display_width").unique().rows() == [(3.0, 30, 160)]

    in_order = clips.sort("video_id", "clip_index")
    spans = in_order.select("clip_index", "start_seconds", "end_seconds", "start_frame", "end_frame", "boundary").rows()
    assert spans == 2 * [(0, 0.0, 1.5, 0, 15, "start"), (1, 1.5, 3.0, 15, 30, "cut")]
    assert set(clips["video_id"]) == set(videos["video_id"])

    # 0, 1 and 2 s, and the middle of each clip.
    seconds = frames.sort("video_id", "seconds").select("seconds", "is_fine", "is_middle").rows()
    of_a_video = [(0.0, True, False), (0.7, False, True), (1.0, True, False), (2.0, True, False), (2.2, False, True)]
    assert seconds == 2 * of_a_video
    assert Counter(frames.filter("is_middle")["clip_id"]) == Counter(clips["clip_id"])
    assert all(jpeg[:2] == b"\xff\xd8" for jpeg in frames["jpeg"])

    coarse = [f"{frame}/coarse" for frame in frames.filter("is_middle")["frame_id"]]
    fine = [f"{frame}/fine" for frame in frames.filter("is_fine")["frame_id"]]
    assert sorted(frame_captions["frame_caption_id"]) == sorted(coarse + fine)
    assert sorted(clip_captions["clip_id"]) == sorted(clips["clip_id"])
    assert all(caption for caption in clip_captions["caption"])

    assert set(lake.polars("sources")["ingest_batch"]) == {
        batch for table in DERIVED for batch in lake.polars(table)["ingest_batch"]
    }
    assert stages(house) == {
        "raw_videos": {"total": 2, "done": 2},
        "clips": {"total": 2, "done": 2},
        "fingerprints": {"total": 2, "done": 2},
        "frame_captions": {"total": 10, "done": 10},
        "clip_captions": {"total": 4, "done": 4},
        "clip_scores": {"total": 4, "done": 4},
    }
    assert attempts(lake) == []
    scores = lake.polars("clip_scores")
    assert set(scores.select("clip_id", "score", "model").rows()) == {
        (clip, "aesthetics", "measured-aesthetics") for clip in clips["clip_id"]
    }
    assert scores["value"].null_count() == 0


def test_the_checks_over_the_whole_lake_pass_and_see_what_is_taken_away(house):
    def failing() -> set[str]:
        job = house._definitions.resolve_job_def("check_lake")
        result = job.execute_in_process(instance=house.instance)
        found = result.get_asset_check_evaluations()
        assert len(found) == 26
        return {check.check_name for check in found if not check.passed}

    assert failing() == set()
    lake = house.lake
    lake.delete("clips", lake.polars("clips")["clip_id"].to_list()[:1])
    assert failing() == {"clips_counts_add_up", "no_orphan_rows", "keys_equal_clip_keys"}


# --- what a change costs ----------------------------------------------------------------------------------------


def test_one_new_video_costs_one_video(house, ingest, film, folder):
    before = written_by(house.lake, *DERIVED)
    film(folder, "three.mp4", 3)
    work = ingest(house, folder)
    assert changes(work) == {
        "raw_videos": {"added": 1},
        "clips": {"added": 2},
        "frames": {"added": 5},
        "fingerprints": {"added": 1},
        "frame_captions": {"added": 5},
        "clip_captions": {"added": 2},
        "clip_scores": {"added": 2},
    }
    after = written_by(house.lake, *DERIVED)
    assert {table: {key: after[table][key] for key in rows} for table, rows in before.items()} == before


def test_a_touched_file_is_looked_at_and_not_decoded(house, ingest, folder):
    before = versions(house.lake, "clips", "frames", "frame_captions", "clip_captions")
    os.utime(folder / "one.mp4", (1_000_000_000, 1_000_000_000))
    work = ingest(house, folder)
    assert changes(work) == {"raw_videos": {"changed": 1}}
    assert versions(house.lake, *before) == before


def test_moved_files_are_looked_at_and_not_decoded(house, ingest, folder):
    tables = ("clips", "frames", "frame_captions", "clip_captions")
    before = versions(house.lake, *tables)
    videos = sources(house.lake)
    renamed, moved = folder / "renamed.mp4", folder / "deeper" / "two.mp4"
    moved.parent.mkdir()
    (folder / "one.mp4").rename(renamed)
    (folder / "two.mp4").rename(moved)
    ingest(house, folder)
    assert versions(house.lake, *tables) == before
    assert sources(house.lake) == {"renamed.mp4": videos["one.mp4"], "two.mp4": videos["two.mp4"]}
    assert sorted(house.lake.polars("raw_videos")["path"]) == sorted(map(str, (renamed, moved)))
    assert sorted(house.lake.polars("sources")["uri"]) == sorted(path.as_uri() for path in (renamed, moved))
    # Whole in its batch: nothing pending, and nothing for the next run of any batch to remove.
    batch = house.lake.polars("clips")["ingest_batch"][0]
    assert {
        house.lake.polars(table)["ingest_batch"].unique().item() for table in (*tables, "raw_videos", "sources")
    } == {batch}
    assert stages(house)["raw_videos"] == {"total": 2, "done": 2}
    assert attempts(house.lake) == []
    every = (*tables, "raw_videos", "sources", "attempts")
    before = versions(house.lake, *every)
    work = ingest(house, folder)
    assert (work.rows, versions(house.lake, *every)) == ({}, before), "a second run writes nothing"


def test_other_bytes_under_a_known_name_are_another_video(house, ingest, film, folder):
    first = sources(house.lake)
    (folder / "one.mp4").unlink()
    film(folder, "one.mp4", 3)
    work = ingest(house, folder)
    second = sources(house.lake)
    assert second["two.mp4"] == first["two.mp4"]
    assert second["one.mp4"] != first["one.mp4"]
    assert changes(work)["raw_videos"] == {"added": 1, "removed": 1}
    assert changes(work)["clip_captions"] == {"added": 2, "removed": 2}
    for table in DERIVED:
        assert set(house.lake.polars(table)["video_id"]) == set(second.values())


class Renamed(EmbeddedCaptioner):
    """Says the same, under another version."""

    @property
    def version(self) -> str:
        return super().version + "+next"


class Loud(Renamed):
    """Says it otherwise."""

    def caption(self, jpegs: Sequence[bytes]) -> list[FrameCaption | Exception]:
        return [FrameCaption(said.caption.upper(), said.evidence) for said in super().caption(jpegs)]


def test_another_captioner_recomputes_captions_and_what_rests_on_them_only(house, ingest, folder):
    before = versions(house.lake, "raw_videos", "clips", "frames")
    said = set(house.lake.polars("frame_captions")["caption"])
    house.resources |= {"coarse_captioner": Loud(), "fine_captioner": Loud()}
    work = ingest(house, folder)
    assert changes(work) == {"frame_captions": {"changed": 10}, "clip_captions": {"changed": 4}}
    assert versions(house.lake, *before) == before
    assert set(house.lake.polars("frame_captions")["caption"]) == {caption.upper() for caption in said}
    assert set(house.lake.polars("frame_captions")["version"]) == {Loud().version}


def test_another_captioner_that_says_the_same_costs_nothing_beyond_its_own_rows(house, ingest, folder):
    before = versions(house.lake, "clip_captions")
    house.resources |= {"coarse_captioner": Renamed(), "fine_captioner": Renamed()}
    work = ingest(house, folder)
    assert changes(work) == {"frame_captions": {"changed": 10}}
    assert versions(house.lake, *before) == before


class Choosy(EmbeddedCaptioner):
    """Fails on bright pictures, whoever they come with."""

    def caption(self, jpegs: Sequence[bytes]) -> list[FrameCaption | Exception]:
        if any(rgb_of_jpeg(jpeg).mean() > 200 for jpeg in jpegs):
            raise ValueError("too bright for me")
        return super().caption(jpegs)


def test_frames_that_cannot_be_captioned_fail_alone_and_are_told(empty_house, ingest, film, folder):
    house = empty_house
    film(folder, "white.mp4", 0)
    film(folder, "blue.mp4", 1)
    house.resources |= {"coarse_captioner": Choosy(), "fine_captioner": Choosy()}
    ingest(house, folder)
    bright = [
        jpeg_id
        for jpeg_id in house.lake.polars("attempts").filter(stage="frame_captions")["key"]
        if jpeg_id.startswith(sources(house.lake)["white.mp4"])
    ]
    assert stages(house)["frame_captions"] == {"total": 10, "done": 7, "failed": 3}
    assert len(bright) == 3  # those of its first shot: at 0 s, 1 s and the middle
    skipped = [row for row in attempts(house.lake) if row[0] == "clip_captions"]
    assert skipped == [("clip_captions", "skipped", "NothingToDo", "none of its frames has a caption", None)]
    assert stages(house)["clip_captions"] == {"total": 4, "done": 3, "skipped": 1}


# --- duplicates -------------------------------------------------------------------------------------------------


def test_an_exact_duplicate_is_skipped_with_its_reason_and_takes_over_in_the_run_in_which_the_original_changes(
    house, ingest, film, folder
):
    original = folder / "one.mp4"
    shutil.copy(original, folder / "copy.mp4")
    ingest(house, folder)
    assert house.lake.polars("sources")["ingest_batch"].n_unique() == 2
    video_id = sources(house.lake)["one.mp4"]
    reason = f"exact duplicate of {original.as_uri()}"
    assert attempts(house.lake) == [("raw_videos", "skipped", "ExactDuplicate", reason, video_id)]
    assert stages(house)["raw_videos"] == {"total": 3, "done": 2, "skipped": 1}
    original.unlink()
    film(folder, "one.mp4", 3)
    ingest(house, folder)
    assert sources(house.lake)["copy.mp4"] == video_id
    assert attempts(house.lake) == []
    assert all(set(found) == {"total", "done"} for found in stages(house).values())


def test_a_duplicate_that_is_looked_at_again_takes_over_from_an_original_that_was_deleted(house, ingest, folder):
    original = folder / "one.mp4"
    copy = Path(shutil.copy(original, folder / "copy.mp4"))
    ingest(house, folder)
    before = versions(house.lake, "clips", "frames", "frame_captions", "clip_captions")
    videos = sources(house.lake)
    original.unlink()
    os.utime(copy, (1_000_000_000, 1_000_000_000))
    ingest(house, folder)
    assert sources(house.lake) == {"two.mp4": videos["two.mp4"], "copy.mp4": videos["one.mp4"]}
    assert attempts(house.lake) == []
    assert stages(house)["raw_videos"] == {"total": 2, "done": 2}
    assert versions(house.lake, *before) == before


def test_two_files_that_swap_names_are_not_decoded_again(house, ingest, folder):
    first, second = folder / "one.mp4", folder / "two.mp4"
    videos = sources(house.lake)
    before = versions(house.lake, "clips", "frames")
    first.rename(folder / "aside.mp4")
    second.rename(first)
    (folder / "aside.mp4").rename(second)
    os.utime(first, (1_000_000_000, 1_000_000_000))
    os.utime(second, (1_000_000_000, 1_000_000_000))
    ingest(house, folder)
    assert sources(house.lake) == {"one.mp4": videos["two.mp4"], "two.mp4": videos["one.mp4"]}
    assert attempts(house.lake) == []
    assert versions(house.lake, *before) == before


# --- what is registered -----------------------------------------------------------------------------------------


def test_overlapping_locations_links_and_odd_entries_register_each_file_once(empty_house, film, folder):
    house = empty_house
    film(folder, "a.mp4", 1)
    (folder / "link.mp4").symlink_to(folder / "a.mp4")
    (folder / "nowhere.mp4").symlink_to(folder / "gone.mp4")
    (folder / "folder.mp4").mkdir()
    os.mkfifo(folder / "pipe.mp4")
    (folder / "notes.txt").touch()
    (folder / ".hidden.mp4").touch()
    locations = [str(folder), str(folder / "a.mp4"), (folder / "a.mp4").as_uri()]
    found = register(house.lake, house.media, locations, run_id="test")
    assert (found.new, found.changed, found.unchanged, found.ignored) == (1, 0, 0, 4)
    assert house.lake.polars("sources")["uri"].to_list() == [(folder / "a.mp4").as_uri()]


def test_batches_are_cut_by_hours_and_a_changed_file_keeps_its_batch(empty_house, film, folder):
    house = empty_house
    for number in range(4):
        film(folder, f"{number}.mp4", number)
    of_two = 7 / 3600  # seconds in hours: two films of 3 s, not three
    register(house.lake, house.media, [str(folder)], run_id="test", hours_per_batch=of_two)

    def batches() -> dict[str, str]:
        rows = house.lake.polars("sources").select("uri", "ingest_batch").rows()
        return {Path(uri).name: batch[-4:] for uri, batch in rows}

    assert batches() == {"0.mp4": "0001", "1.mp4": "0001", "2.mp4": "0002", "3.mp4": "0002"}
    (folder / "0.mp4").unlink()
    film(folder, "0.mp4", 7)
    film(folder, "4.mp4", 4)
    found = register(house.lake, house.media, [str(folder)], run_id="test", hours_per_batch=of_two)
    assert (found.new, found.changed, found.unchanged) == (1, 1, 3)
    assert batches() == {"0.mp4": "0001", "1.mp4": "0001", "2.mp4": "0002", "3.mp4": "0002", "4.mp4": "0003"}


# --- odd files --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not ODD.is_dir(), reason="the odd videos are not here")
def test_every_odd_file_ends_done_or_as_one_attempt_that_says_why(empty_house, ingest, film, folder):
    house = empty_house
    good = film(folder, "good.mp4", 1)
    name_that_is_not_text = os.fsdecode(b"caf\xe9.mp4")
    shutil.copy(ODD / "truncated_no_moov.mp4", folder / name_that_is_not_text)
    shutil.copy(film(folder, "also_good.mp4", 2), folder / os.fsdecode(b"good caf\xe9.mp4"))
    (folder / "also_good.mp4").unlink()
    ingest(house, folder, ODD)
    names = dict(house.lake.polars("sources").select("source_id", "uri").rows())
    tried = {
        Path(names[row["key"]]).name: row["error_class"]
        for row in house.lake.polars("attempts").filter(stage="raw_videos").to_dicts()
    }
    assert tried == {
        name: "UnreadableVideo"
        for name in (
            "audio_only_speech.mp4",
            "caf%E9.mp4",
            "jpeg_named_as.mp4",
            "text_file.mp4",
            "truncated_no_moov.mp4",
            "zero_bytes.mp4",
        )
    }
    assert stages(house)["raw_videos"] == {"total": 18, "done": 12, "failed": 6}
    assert {name: set(found) for name, found in stages(house).items() if name != "raw_videos"} == {
        name: {"total", "done"} for name in ("clips", "fingerprints", "frame_captions", "clip_captions", "clip_scores")
    }
    assert set(sources(house.lake)) == {Path(uri).name for uri in names.values()} - set(tried)
    assert good.name in sources(house.lake)


# --- what is published ------------------------------------------------------------------------------------------


def snapshots(lake: Lake) -> list[str]:
    return lake.polars("corpus_snapshot")["snapshot"].unique().sort().to_list()


def mart(lake: Lake, sql: str) -> list[tuple]:
    with duckdb.connect(f"{lake.root}/statistics.duckdb", read_only=True) as connection:
        return connection.sql(sql).fetchall()


def test_a_snapshot_is_taken_when_something_changed_and_only_then(house):
    house.publish_what_changed(Work())
    first = snapshots(house.lake)
    assert first == house.lake.tags()
    assert len(first) == 1
    name, rows, is_new = take_snapshot(house.lake, run_id="again")
    assert (name, is_new) == (first[0], False)
    assert {row["table_name"]: row["row_count"] for row in rows} == {
        table.name: house.lake.dataset(table.name).count_rows() for table in PINNED
    }
    house.lake.optimize()
    assert take_snapshot(house.lake, run_id="compacted")[2] is False, "the same rows in other files"
    house.lake.delete("clip_captions", house.lake.polars("clip_captions")["clip_id"].to_list()[:1])
    assert take_snapshot(house.lake, run_id="changed")[2] is True
    assert len(snapshots(house.lake)) == 2
    assert house.lake.tags() == snapshots(house.lake)


def test_publishing_that_died_half_way_is_made_good_and_what_is_whole_is_left_alone(house):
    asked = "select videos, clips, captions from table_1"
    house.publish_what_changed(Work())
    assert mart(house.lake, asked) == [(2, 4, 4)]

    house.lake.delete("clip_captions", house.lake.polars("clip_captions")["clip_id"].to_list()[:1])
    assert not is_current(house.lake)
    assert dg.materialize([statistics], resources=house.resources, instance=house.instance).success
    assert mart(house.lake, asked) == [(2, 4, 4)], "statistics are those of the snapshot"

    take_snapshot(house.lake, run_id="died after this")
    assert is_current(house.lake)
    house.publish_what_changed(Work())
    assert mart(house.lake, asked) == [(2, 4, 3)]
    files = [Path(house.lake.root, name) for name in ("statistics.duckdb", "internvid.jsonl", "report.html")]
    assert len(files[1].read_text().splitlines()) == 3
    made = [file.stat().st_ino for file in files]
    house.publish_what_changed(Work())
    assert [file.stat().st_ino for file in files] == made
    files[2].unlink()
    house.publish_what_changed(Work())
    assert files[2].exists()


def test_the_export_has_one_line_for_each_captioned_clip_in_order(house, tmp_path):
    captions = dict(house.lake.polars("clip_captions").select("clip_id", "caption").rows())
    in_order = house.lake.polars("clips").sort("video_id", "start_seconds").select("clip_id", "video_id").rows()
    times = [("00:00:00.000", "00:00:01.500"), ("00:00:01.500", "00:00:03.000")]
    assert export(house.lake, tmp_path / "corpus.jsonl") == 4
    text = (tmp_path / "corpus.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line) for line in text.splitlines()] == [
        {"YoutubeID": video_id, "Start_timestamp": start, "End_timestamp": end, "Caption": captions[clip_id]}
        for (clip_id, video_id), (start, end) in zip(in_order, times * 2, strict=True)
    ]
    assert text.endswith("\n")


def test_an_imported_film_lives_on_in_the_store(empty_house, ingest, film, folder):
    house = empty_house
    house.resources["media"] = house.media = Media(root=f"{house.lake.root}/media", keep="import", workers=1)
    path = film(folder, "one.mp4", 1)
    ingest(house, folder)
    (video,) = house.lake.polars("raw_videos").to_dicts()
    assert video["path"] == f"{house.lake.root}/media/{video['sha256'][:2]}/{video['sha256']}.mp4"
    path.unlink()
    house.lake.delete("clips", house.lake.polars("clips")["clip_id"].to_list()[:1])
    work = Work()
    house.run_pending_batches(work)
    assert changes(work) == {"clips": {"added": 1}}
    assert stages(house)["clip_captions"] == {"total": 2, "done": 2}
