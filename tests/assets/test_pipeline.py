"""Videos in, a captioned corpus out: what a change costs, and that every table agrees with the others."""

import hashlib
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
from published_lines import published_lines
from real_videos import REAL_VIDEOS, needs_real_videos

from assets.corpus.statistics import statistics
from internvid.captions.measured import FrameCaption
from internvid.synthetic.plans import Backdrop, Shot, VideoPlan
from internvid.synthetic.render import render
from internvid.video.jpeg import rgb_of_jpeg
from orchestration.cli.session import RunSummary, Session
from resources.catalog.files import register
from resources.catalog.tombstones import Names, begin, end
from resources.corpus.exports.jsonl import export
from resources.corpus.snapshots import is_current, take_snapshot
from resources.lake.schema import pinned_tables
from resources.lake.store import Lake
from resources.media.store import Media
from resources.models.captioner import EmbeddedCaptioner

ODD = REAL_VIDEOS / "odd"
SEEN = ("clip_things", "frame_captions")
DERIVED = ("raw_videos", "clips", "frames", "frame_captions", "clip_captions")
OF_SPEECH = ("speech", "transcripts")  # nobody speaks in these videos: test_speech.py has some in which somebody does


def written_by(lake: Lake, *tables: str) -> dict[str, dict[str, str]]:
    """Table -> key -> the run that wrote the row. What was not written again was not computed for it."""
    return {table: dict(lake.polars(table).select(pl.first(), "run_id").rows()) for table in tables}


def versions(lake: Lake, *tables: str) -> dict[str, int]:
    return {table: lake.version(table) for table in tables}


def stages(session: Session) -> dict[str, dict[str, int]]:
    """Stage -> units by state, where there are any: none of those that wait for a model, or for words."""
    counts = {
        stage: {state: number for state, number in found.items() if number} for stage, found in session.counts().items()
    }
    return {name: found for name, found in counts.items() if found and name not in OF_SPEECH}


def changes(summary: RunSummary) -> dict[str, dict[str, int]]:
    """Table -> rows added, changed, removed, where there are any."""
    found = {table: {kind: number for kind, number in rows.items() if number} for table, rows in summary.rows.items()}
    return {table: rows for table, rows in found.items() if rows}


def attempts(lake: Lake) -> list[tuple[Any, ...]]:
    rows = lake.polars("attempts").filter(~pl.col("stage").is_in(OF_SPEECH)).sort("key")
    return rows.select("stage", "outcome", "error_class", "message", "related_key").rows()


def sources(lake: Lake) -> dict[str, str]:
    """File name -> the video whose source it is."""
    rows = lake.polars("raw_videos").select("source", "video_id").rows()
    return {Path(source).name: video_id for source, video_id in rows}


# --- the whole way ----------------------------------------------------------------------------------------------


def test_videos_become_rows_of_every_table_and_the_tables_agree(session, folder):
    lake = session.lake
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
    assert stages(session) == {
        "raw_videos": {"total": 2, "done": 2},
        "clips": {"total": 2, "done": 2},
        "fingerprints": {"total": 2, "done": 2},
        "clip_things": {"total": 4, "done": 4},
        "frame_captions": {"total": 10, "done": 10},
        "clip_captions": {"total": 4, "done": 4},
        "dialogues": {"total": 2, "done": 2},
        "clip_scores": {"total": 8, "done": 8},
    }
    assert attempts(lake) == []
    scores = lake.polars("clip_scores")
    assert set(scores.select("clip_id", "score", "model").rows()) == {
        (clip, *score)
        for clip in clips["clip_id"]
        for score in (("aesthetics", "measured-aesthetics"), ("safety", "open-nsfw"))
    }
    assert scores["value"].null_count() == 0


def test_the_checks_over_the_whole_lake_pass_and_see_what_is_taken_away(session):
    def failing() -> set[str]:
        job = session._definitions.resolve_job_def("check_lake")
        result = job.execute_in_process(instance=session.instance)
        found = result.get_asset_check_evaluations()
        assert len(found) == 33
        return {check.check_name for check in found if not check.passed}

    assert failing() == set()
    lake = session.lake
    lake.delete("clips", lake.polars("clips")["clip_id"].to_list()[:1])
    assert failing() == {
        *("clips_counts_add_up", "dialogues_counts_add_up"),
        *("no_orphan_rows", "keys_equal_clip_keys"),
    }


def test_a_file_with_the_bytes_of_a_forgotten_one_is_skipped_whatever_its_name(
    session, folder, ingest, synthetic_video
):
    forgotten = synthetic_video(folder, "another name.mp4", 3)
    names = Names(sha256s=frozenset([hashlib.sha256(forgotten.read_bytes()).hexdigest()]))
    begin(session.lake, names, reason="asked to", run_id="test")
    end(session.lake, names)
    ingest(session, folder)
    assert sorted(sources(session.lake)) == ["one.mp4", "two.mp4"]
    (attempt,) = attempts(session.lake)
    assert attempt[:3] == ("raw_videos", "skipped", "Forgotten")
    assert attempt[3].endswith(": asked to")


# --- what a change costs ----------------------------------------------------------------------------------------


def test_one_new_video_costs_one_video(session, ingest, synthetic_video, folder):
    before = written_by(session.lake, *DERIVED)
    synthetic_video(folder, "three.mp4", 3)
    summary = ingest(session, folder)
    assert changes(summary) == {
        "raw_videos": {"added": 1},
        "clips": {"added": 2},
        "frames": {"added": 5},
        "fingerprints": {"added": 1},
        "clip_things": {"added": 2},
        "frame_captions": {"added": 5},
        "clip_captions": {"added": 2},
        "dialogues": {"added": 1},
        "clip_scores": {"added": 4},
    }
    after = written_by(session.lake, *DERIVED)
    assert {table: {key: after[table][key] for key in rows} for table, rows in before.items()} == before


def test_a_touched_file_is_looked_at_and_not_decoded(session, ingest, folder):
    before = versions(session.lake, "clips", "frames", "frame_captions", "clip_captions")
    os.utime(folder / "one.mp4", (1_000_000_000, 1_000_000_000))
    summary = ingest(session, folder)
    assert changes(summary) == {"raw_videos": {"changed": 1}}
    assert versions(session.lake, *before) == before


@pytest.mark.slow
def test_moved_files_are_looked_at_and_not_decoded(session, ingest, folder):
    tables = ("clips", "frames", "frame_captions", "clip_captions")
    before = versions(session.lake, *tables)
    videos = sources(session.lake)
    renamed, moved = folder / "renamed.mp4", folder / "deeper" / "two.mp4"
    moved.parent.mkdir()
    (folder / "one.mp4").rename(renamed)
    (folder / "two.mp4").rename(moved)
    ingest(session, folder)
    assert versions(session.lake, *tables) == before
    assert sources(session.lake) == {"renamed.mp4": videos["one.mp4"], "two.mp4": videos["two.mp4"]}
    assert sorted(session.lake.polars("raw_videos")["path"]) == sorted(map(str, (renamed, moved)))
    assert sorted(session.lake.polars("sources")["uri"]) == sorted(path.as_uri() for path in (renamed, moved))
    # Whole in its batch: nothing pending, and nothing for the next run of any batch to remove.
    batch = session.lake.polars("clips")["ingest_batch"][0]
    assert {
        session.lake.polars(table)["ingest_batch"].unique().item() for table in (*tables, "raw_videos", "sources")
    } == {batch}
    assert stages(session)["raw_videos"] == {"total": 2, "done": 2}
    assert attempts(session.lake) == []
    every = (*tables, "raw_videos", "sources", "attempts")
    before = versions(session.lake, *every)
    summary = ingest(session, folder)
    assert (summary.rows, versions(session.lake, *every)) == ({}, before), "a second run writes nothing"


@pytest.mark.slow
def test_other_bytes_under_a_known_name_are_another_video(session, ingest, synthetic_video, folder):
    first = sources(session.lake)
    (folder / "one.mp4").unlink()
    synthetic_video(folder, "one.mp4", 3)
    summary = ingest(session, folder)
    second = sources(session.lake)
    assert second["two.mp4"] == first["two.mp4"]
    assert second["one.mp4"] != first["one.mp4"]
    assert changes(summary)["raw_videos"] == {"added": 1, "removed": 1}
    assert changes(summary)["clip_captions"] == {"added": 2, "removed": 2}
    for table in DERIVED:
        assert set(session.lake.polars(table)["video_id"]) == set(second.values())


class Renamed(EmbeddedCaptioner):
    """Says the same, under another version."""

    @property
    def version(self) -> str:
        return super().version + "+next"


class Loud(Renamed):
    """Says it otherwise."""

    def caption(self, jpegs: Sequence[bytes]) -> list[FrameCaption | Exception]:
        return [FrameCaption(said.caption.upper(), said.evidence) for said in super().caption(jpegs)]


def test_another_captioner_recomputes_captions_and_what_rests_on_them_only(session, ingest, folder):
    before = versions(session.lake, "raw_videos", "clips", "frames")
    said = set(session.lake.polars("frame_captions")["caption"])
    session.resources |= {"coarse_captioner": Loud(), "fine_captioner": Loud()}
    summary = ingest(session, folder)
    assert changes(summary) == {
        "frame_captions": {"changed": 10},
        "clip_captions": {"changed": 4},
        "dialogues": {"changed": 2},
    }
    assert versions(session.lake, *before) == before
    assert set(session.lake.polars("frame_captions")["caption"]) == {caption.upper() for caption in said}
    assert set(session.lake.polars("frame_captions")["version"]) == {Loud().version}


@pytest.mark.slow
def test_another_captioner_that_says_the_same_costs_nothing_beyond_its_own_rows(session, ingest, folder):
    before = versions(session.lake, "clip_captions")
    session.resources |= {"coarse_captioner": Renamed(), "fine_captioner": Renamed()}
    summary = ingest(session, folder)
    assert changes(summary) == {"frame_captions": {"changed": 10}}
    assert versions(session.lake, *before) == before


class Choosy(EmbeddedCaptioner):
    """Fails on bright pictures, whoever they come with."""

    def caption(self, jpegs: Sequence[bytes]) -> list[FrameCaption | Exception]:
        if any(rgb_of_jpeg(jpeg).mean() > 200 for jpeg in jpegs):
            raise ValueError("too bright for me")
        return super().caption(jpegs)


def test_a_frame_at_a_cut_lies_in_the_clip_that_begins_there(empty_session, ingest, folder):
    shots = (Shot(20, Backdrop("flat", "white")), Shot(20, Backdrop("noise", "grey", 1)))
    plan = VideoPlan("synthetic_video", shots, width=160, height=120, fps=10, sound=False)
    render(plan, folder / "cut", seed=0).rename(folder / "cut_at_2_s.mp4")
    shutil.rmtree(folder / "cut")
    ingest(empty_session, folder)
    frames, clips = (empty_session.lake.polars(table) for table in ("frames", "clips"))
    assert clips.sort("clip_index").select("start_seconds", "end_seconds").rows() == [(0.0, 2.0), (2.0, 4.0)]
    lies_in = frames.join(clips, "clip_id").sort("seconds").select("seconds", "start_seconds").rows()
    assert [place for place in lies_in if place[0] == 2.0] == [(2.0, 2.0)]
    assert {start for seconds, start in lies_in if seconds < 2.0} == {0.0}
    assert {start for seconds, start in lies_in if seconds >= 2.0} == {2.0}


def test_frames_that_cannot_be_captioned_fail_alone_and_are_told(empty_session, ingest, synthetic_video, folder):
    session = empty_session
    synthetic_video(folder, "white.mp4", 0)
    synthetic_video(folder, "blue.mp4", 1)
    session.resources |= {"coarse_captioner": Choosy(), "fine_captioner": Choosy()}
    ingest(session, folder)
    bright = [
        jpeg_id
        for jpeg_id in session.lake.polars("attempts").filter(stage="frame_captions")["key"]
        if jpeg_id.startswith(sources(session.lake)["white.mp4"])
    ]
    assert stages(session)["frame_captions"] == {"total": 10, "done": 7, "failed": 3}
    assert len(bright) == 3  # those of its first shot: at 0 s, 1 s and the middle
    skipped = [row for row in attempts(session.lake) if row[0] == "clip_captions"]
    assert skipped == [("clip_captions", "skipped", "NothingToDo", "none of its frames has a caption", None)]
    assert stages(session)["clip_captions"] == {"total": 4, "done": 3, "skipped": 1}


# --- duplicates -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_exact_duplicate_is_skipped_with_its_reason_and_takes_over_in_the_run_in_which_the_original_changes(
    session, ingest, synthetic_video, folder
):
    original = folder / "one.mp4"
    shutil.copy(original, folder / "copy.mp4")
    ingest(session, folder)
    assert session.lake.polars("sources")["ingest_batch"].n_unique() == 2
    video_id = sources(session.lake)["one.mp4"]
    reason = f"exact duplicate of {original.as_uri()}"
    assert attempts(session.lake) == [("raw_videos", "skipped", "ExactDuplicate", reason, video_id)]
    assert stages(session)["raw_videos"] == {"total": 3, "done": 2, "skipped": 1}
    original.unlink()
    synthetic_video(folder, "one.mp4", 3)
    ingest(session, folder)
    assert sources(session.lake)["copy.mp4"] == video_id
    assert attempts(session.lake) == []
    assert all(set(found) == {"total", "done"} for found in stages(session).values())


@pytest.mark.slow
def test_a_duplicate_that_is_looked_at_again_takes_over_from_an_original_that_was_deleted(session, ingest, folder):
    original = folder / "one.mp4"
    copy = Path(shutil.copy(original, folder / "copy.mp4"))
    ingest(session, folder)
    before = versions(session.lake, "clips", "frames", "frame_captions", "clip_captions")
    videos = sources(session.lake)
    original.unlink()
    os.utime(copy, (1_000_000_000, 1_000_000_000))
    ingest(session, folder)
    assert sources(session.lake) == {"two.mp4": videos["two.mp4"], "copy.mp4": videos["one.mp4"]}
    assert attempts(session.lake) == []
    assert stages(session)["raw_videos"] == {"total": 2, "done": 2}
    assert versions(session.lake, *before) == before


@pytest.mark.slow
def test_two_files_that_swap_names_are_not_decoded_again(session, ingest, folder):
    first, second = folder / "one.mp4", folder / "two.mp4"
    videos = sources(session.lake)
    before = versions(session.lake, "clips", "frames")
    first.rename(folder / "aside.mp4")
    second.rename(first)
    (folder / "aside.mp4").rename(second)
    os.utime(first, (1_000_000_000, 1_000_000_000))
    os.utime(second, (1_000_000_000, 1_000_000_000))
    ingest(session, folder)
    assert sources(session.lake) == {"one.mp4": videos["two.mp4"], "two.mp4": videos["one.mp4"]}
    assert attempts(session.lake) == []
    assert versions(session.lake, *before) == before


# --- what is registered -----------------------------------------------------------------------------------------


def test_overlapping_locations_links_and_odd_entries_register_each_file_once(empty_session, synthetic_video, folder):
    session = empty_session
    synthetic_video(folder, "a.mp4", 1)
    (folder / "link.mp4").symlink_to(folder / "a.mp4")
    (folder / "nowhere.mp4").symlink_to(folder / "gone.mp4")
    (folder / "folder.mp4").mkdir()
    os.mkfifo(folder / "pipe.mp4")
    (folder / "notes.txt").touch()
    (folder / ".hidden.mp4").touch()
    locations = [str(folder), str(folder / "a.mp4"), (folder / "a.mp4").as_uri()]
    found = register(session.lake, session.media, locations, run_id="test")
    assert (found.new, found.changed, found.unchanged, found.tally.passed_over_files) == (1, 0, 0, 4)
    assert session.lake.polars("sources")["uri"].to_list() == [(folder / "a.mp4").as_uri()]


def test_batches_are_cut_by_hours_and_a_changed_file_keeps_its_batch(empty_session, synthetic_video, folder):
    session = empty_session
    for number in range(4):
        synthetic_video(folder, f"{number}.mp4", number)
    of_two = 7 / 3600  # seconds in hours: two videos of 3 s, not three
    register(session.lake, session.media, [str(folder)], run_id="test", hours_per_batch=of_two)

    def batches() -> dict[str, str]:
        rows = session.lake.polars("sources").select("uri", "ingest_batch").rows()
        return {Path(uri).name: batch[-4:] for uri, batch in rows}

    assert batches() == {"0.mp4": "0001", "1.mp4": "0001", "2.mp4": "0002", "3.mp4": "0002"}
    (folder / "0.mp4").unlink()
    synthetic_video(folder, "0.mp4", 7)
    synthetic_video(folder, "4.mp4", 4)
    found = register(session.lake, session.media, [str(folder)], run_id="test", hours_per_batch=of_two)
    assert (found.new, found.changed, found.unchanged) == (1, 1, 3)
    assert batches() == {"0.mp4": "0001", "1.mp4": "0001", "2.mp4": "0002", "3.mp4": "0002", "4.mp4": "0003"}


# --- odd files --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@needs_real_videos
def test_every_odd_file_ends_done_or_as_one_attempt_that_says_why(empty_session, ingest, synthetic_video, folder):
    session = empty_session
    good = synthetic_video(folder, "good.mp4", 1)
    name_that_is_not_text = os.fsdecode(b"caf\xe9.mp4")
    shutil.copy(ODD / "truncated_no_moov.mp4", folder / name_that_is_not_text)
    shutil.copy(synthetic_video(folder, "also_good.mp4", 2), folder / os.fsdecode(b"good caf\xe9.mp4"))
    (folder / "also_good.mp4").unlink()
    ingest(session, folder, ODD)
    names = dict(session.lake.polars("sources").select("source_id", "uri").rows())
    tried = {
        Path(names[row["key"]]).name: row["error_class"]
        for row in session.lake.polars("attempts").filter(stage="raw_videos").to_dicts()
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
    assert stages(session)["raw_videos"] == {"total": 18, "done": 12, "failed": 6}
    assert {name: set(found) for name, found in stages(session).items() if name != "raw_videos"} == {
        name: {"total", "done"}
        for name in ("clips", "fingerprints", *SEEN, "clip_captions", "dialogues", "clip_scores")
    }
    assert set(sources(session.lake)) == {Path(uri).name for uri in names.values()} - set(tried)
    assert good.name in sources(session.lake)


# --- what is published ------------------------------------------------------------------------------------------


def snapshots(lake: Lake) -> list[str]:
    return lake.polars("corpus_snapshot")["snapshot"].unique().sort().to_list()


def mart(lake: Lake, sql: str) -> list[tuple]:
    with duckdb.connect(f"{lake.root}/statistics.duckdb", read_only=True) as connection:
        return connection.sql(sql).fetchall()


def test_a_snapshot_is_taken_when_something_changed_and_only_then(session):
    session.publish_what_changed(RunSummary())
    first = snapshots(session.lake)
    assert first == session.lake.tags()
    assert len(first) == 1
    name, rows, is_new = take_snapshot(session.lake, run_id="again")
    assert (name, is_new) == (first[0], False)
    assert {row["table_name"]: row["row_count"] for row in rows} == {
        table.name: session.lake.dataset(table.name).count_rows() for table in pinned_tables()
    }
    session.lake.optimize()
    assert take_snapshot(session.lake, run_id="compacted")[2] is False, "the same rows in other files"
    session.lake.delete("clip_captions", session.lake.polars("clip_captions")["clip_id"].to_list()[:1])
    assert take_snapshot(session.lake, run_id="changed")[2] is True
    assert len(snapshots(session.lake)) == 2
    assert session.lake.tags() == snapshots(session.lake)


@pytest.mark.slow
def test_publishing_that_died_half_way_is_made_good_and_what_is_whole_is_left_alone(session):
    asked = "select videos, clips, captions from table_1"
    session.publish_what_changed(RunSummary())
    assert mart(session.lake, asked) == [(2, 4, 4)]

    session.lake.delete("clip_captions", session.lake.polars("clip_captions")["clip_id"].to_list()[:1])
    assert not is_current(session.lake)
    assert dg.materialize([statistics], resources=session.resources, instance=session.instance).success
    assert mart(session.lake, asked) == [(2, 4, 4)], "statistics are those of the snapshot"

    take_snapshot(session.lake, run_id="died after this")
    assert is_current(session.lake)
    session.publish_what_changed(RunSummary())
    assert mart(session.lake, asked) == [(2, 4, 3)]
    names = ("statistics.duckdb", "internvid_jsonl/manifest.json", "report.html")
    files = [Path(session.lake.root, name) for name in names]
    assert len(published_lines(session.lake.root)) == 3
    made = [file.stat().st_ino for file in files]
    session.publish_what_changed(RunSummary())
    assert [file.stat().st_ino for file in files] == made
    files[2].unlink()
    session.publish_what_changed(RunSummary())
    assert files[2].exists()


def test_the_export_has_one_line_for_each_captioned_clip_in_order(session, tmp_path):
    captions = dict(session.lake.polars("clip_captions").select("clip_id", "caption").rows())
    in_order = session.lake.polars("clips").sort("video_id", "start_seconds").select("clip_id", "video_id").rows()
    times = [("00:00:00.000", "00:00:01.500"), ("00:00:01.500", "00:00:03.000")]
    assert export(session.lake, tmp_path / "corpus.jsonl") == 4
    text = (tmp_path / "corpus.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line) for line in text.splitlines()] == [
        {"YoutubeID": video_id, "Start_timestamp": start, "End_timestamp": end, "Caption": captions[clip_id]}
        for (clip_id, video_id), (start, end) in zip(in_order, times * 2, strict=True)
    ]
    assert text.endswith("\n")


@pytest.mark.slow
def test_an_imported_video_lives_on_in_the_store(empty_session, ingest, synthetic_video, folder):
    session = empty_session
    session.resources["media"] = session.media = Media(root=f"{session.lake.root}/media", keep="import", workers=1)
    path = synthetic_video(folder, "one.mp4", 1)
    ingest(session, folder)
    (video,) = session.lake.polars("raw_videos").to_dicts()
    assert video["path"] == f"{session.lake.root}/media/{video['sha256'][:2]}/{video['sha256']}.mp4"
    path.unlink()
    session.lake.delete("clips", session.lake.polars("clips")["clip_id"].to_list()[:1])
    summary = RunSummary()
    session.run_pending_batches(summary)
    assert changes(summary) == {"clips": {"added": 1}}
    assert stages(session)["clip_captions"] == {"total": 2, "done": 2}
