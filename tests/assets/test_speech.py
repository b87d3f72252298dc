"""What is said in videos: from subtitle files beside them to transcripts of their clips, and what a change costs."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from real_videos import REAL_VIDEOS
from tiny_whisper import save_whisper

from assets.stages import ingest_stages
from orchestration.cli.session import Session
from resources.catalog.files import register
from resources.corpus.lineage import story
from resources.lake.store import Lake

VIDEOS = REAL_VIDEOS / "open"
GERMAN = """1
00:00:00,100 --> 00:00:01,540
Heute kochen wir eine gute Suppe.

2
00:00:01,460 --> 00:00:02,900
Zuerst schneiden wir <i>Zwiebeln</i>.
"""
NO_MODEL = "no subtitles came with it, and no model listens"


@pytest.fixture
def spoken(session: Session, ingest: Callable, folder: Path) -> Session:
    """The lake of two videos, of which the first has got subtitles since. Its cut is at 1.5 s."""
    (folder / "one.de.srt").write_text(GERMAN)
    ingest(session, folder)
    return session


def written_by(lake: Lake, table: str) -> dict[str, str]:
    return dict(lake.polars(table).select(pl.first(), "run_id").rows())


def attempts(lake: Lake, stage: str) -> dict[str, str]:
    rows = lake.polars("attempts").filter(pl.col("stage") == stage)
    return dict(rows.select("label", "message").rows())


def videos(lake: Lake) -> dict[str, str]:
    """File name -> video."""
    rows = lake.polars("raw_videos").select("source", "video_id").rows()
    return {Path(source).name: video_id for source, video_id in rows}


def clips_of(lake: Lake, video_id: str) -> list[str]:
    return lake.polars("clips").filter(pl.col("video_id") == video_id).sort("clip_index")["clip_id"].to_list()


def test_subtitles_beside_a_video_become_cues_and_transcripts_of_its_clips(spoken: Session, folder: Path) -> None:
    lake = spoken.lake
    one = videos(lake)["one.mp4"]
    cues = lake.polars("speech").sort("cue_id")
    assert cues.select("cue_id", "start_seconds", "end_seconds", "text").rows() == [
        (f"{one}/00000", 0.1, 1.54, "Heute kochen wir eine gute Suppe."),
        (f"{one}/00001", 1.46, 2.9, "Zuerst schneiden wir Zwiebeln."),
    ]
    assert cues.select("language", "source", "origin", "model").unique().rows() == [
        ("de", "subtitles:uploaded", "one.de.srt", None)
    ]
    transcripts = lake.polars("transcripts")
    said = dict(transcripts.select("clip_id", "text").rows())
    assert [said[clip] for clip in clips_of(lake, one)] == [
        "Heute kochen wir eine gute Suppe.",
        "Zuerst schneiden wir Zwiebeln.",
    ]
    of_all = ("language", "english", "why_no_english", "source", "translator", "cues")
    assert transcripts.select(of_all).unique().rows() == [
        ("de", None, "no translator is enabled", "subtitles:uploaded", None, 1)
    ]
    two = videos(lake)["two.mp4"]
    assert attempts(lake, "speech") == {(folder / "two.mp4").as_uri(): NO_MODEL}
    assert attempts(lake, "transcripts") == {}, "a clip in which nothing is said is no input, and needs no row"
    assert spoken.counts()["transcripts"]["total"] == 2
    silent = story(lake, ingest_stages(), clips_of(lake, two)[0])
    assert {stage["table"]: stage["state"] for stage in silent["stages"]}["transcripts"] == f"nothing to do: {NO_MODEL}"


@pytest.mark.slow
def test_a_changed_subtitle_file_costs_its_video_alone_and_no_decoding(
    spoken: Session, ingest: Callable, folder: Path
) -> None:
    lake = spoken.lake
    (folder / "two.en.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:02.900\nIn English this is said\n")
    ingest(spoken, folder)
    tables = ("raw_videos", "clips", "frames", "frame_captions", "clip_captions", "speech", "transcripts")
    before = {table: written_by(lake, table) for table in tables}

    (folder / "one.de.srt").write_text(GERMAN.replace("gute", "sehr gute"))
    summary = ingest(spoken, folder)

    changed = {table for table, rows in summary.rows.items() if any(rows.values())}
    assert changed == {"speech", "transcripts", "dialogues"}, "a dialogue quotes what is said"
    after = {table: written_by(lake, table) for table in tables}
    one = videos(lake)["one.mp4"]
    rewritten = {key for table in tables for key in after[table] if after[table][key] != before[table][key]}
    # Both cues of the file are read anew; of the clips only the one whose words are other ones.
    assert rewritten == {f"{one}/00000", f"{one}/00001", clips_of(lake, one)[0]}
    first = lake.fetch("transcripts", clips_of(lake, one)[:1]).to_pylist()[0]
    assert first["text"] == "Heute kochen wir eine sehr gute Suppe."
    english = lake.polars("transcripts").filter(pl.col("language") == "en")
    assert english["text"].to_list() == english["english"].to_list() != []

    os.utime(folder / "one.de.srt")  # another time, the same words
    ingest(spoken, folder)
    assert written_by(lake, "transcripts") == after["transcripts"]

    (folder / "one.de.srt").unlink()
    ingest(spoken, folder)
    assert set(lake.polars("speech")["video_id"]) == {videos(lake)["two.mp4"]}
    assert set(lake.polars("transcripts")["video_id"]) == {videos(lake)["two.mp4"]}
    assert (folder / "one.mp4").as_uri() in attempts(lake, "speech")
    assert written_by(lake, "clips") == before["clips"]


@pytest.mark.slow
def test_looking_again_finds_nothing_new(spoken: Session, ingest: Callable, folder: Path) -> None:
    found = register(spoken.lake, spoken.media, [str(folder)], run_id="test")
    assert (found.new, found.changed, found.unchanged) == (0, 0, 2)
    assert ingest(spoken, folder).rows == {}


@pytest.mark.slow
def test_a_file_that_is_no_subtitles_fails_for_its_video_alone(spoken: Session, ingest: Callable, folder: Path) -> None:
    (folder / "two.en.srt").write_text("<html>404 Not Found</html>")
    ingest(spoken, folder)
    failed = spoken.lake.polars("attempts").filter(pl.col("stage") == "speech")
    assert failed.select("outcome", "error_class").rows() == [("failed", "UnreadableSubtitles")]
    assert failed["message"].item().startswith("two.en.srt: ")
    assert len(spoken.lake.polars("speech")) == 2
    unread = story(spoken.lake, ingest_stages(), videos(spoken.lake)["two.mp4"])
    assert {stage["table"]: stage["state"] for stage in unread["stages"]}["transcripts"] == "not yet"


@pytest.mark.slow
def test_a_whisper_listens_where_there_are_no_subtitles(
    session: Session,
    open_session: Callable[[], Session],
    ingest: Callable,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (folder / "one.de.srt").write_text(GERMAN)
    shutil.copy(VIDEOS / "grid_bbaf2n.mpg", folder / "spoken.mpg")  # somebody speaks from 0.7 to 2.4 s
    shutil.copy(VIDEOS / "airplane_short_audio.mp4", folder / "noise.mp4")
    weights = save_whisper(tmp_path / "whisper-tiniest")
    monkeypatch.setenv("INTERNVID_PROVIDER_TRANSCRIBER", f"{{kind: whisper, weights: {weights}, device: cpu}}")
    listening = open_session()
    ingest(listening, folder)
    lake = listening.lake

    by_video = {video_id: name for name, video_id in videos(lake).items()}
    cues = lake.polars("speech").with_columns(name=pl.col("video_id").replace_strict(by_video))
    assert set(cues["name"]) == {"one.mp4", "spoken.mpg"}
    assert set(cues.filter(pl.col("name") == "one.mp4")["source"]) == {"subtitles:uploaded"}
    recognised = cues.filter(pl.col("name") == "spoken.mpg")
    assert set(recognised["source"]) == {"speech recognition"}
    assert set(recognised["model"]) == {"whisper-tiniest"}
    assert None not in set(recognised["revision"])
    assert recognised["start_seconds"].min() >= 0.5
    assert recognised["end_seconds"].max() <= 2.6
    assert {Path(label).name: message for label, message in attempts(lake, "speech").items()} == {
        "two.mp4": "no subtitles came with it, and it has no sound",
        "noise.mp4": "no subtitles came with it, and nobody is heard to speak",
    }

    spent = lake.polars("costs").filter(pl.col("stage") == "speech", pl.col("model") == "whisper-tiniest")
    assert spent["units"].to_list() == [1]
    assert spent["model_seconds"].item() > 0
    assert spent["video_seconds"].item() == pytest.approx(3.0, abs=0.1)
    assert spent["output_tokens"].item() > 0

    before = written_by(lake, "clips") | written_by(lake, "frame_captions")
    monkeypatch.delenv("INTERNVID_PROVIDER_TRANSCRIBER")
    without = open_session()
    ingest(without, folder)
    assert set(lake.polars("speech")["video_id"]) == {videos(lake)["one.mp4"]}
    assert written_by(lake, "clips") | written_by(lake, "frame_captions") == before
