"""A subset that is written: interleaved documents and instruction dialogues, as files beside the tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from orchestration.cli.session import RunSummary, Session
from orchestration.due import outdated_documents, published_names
from resources.corpus.interleaving import Interleaving
from resources.corpus.published_subset import SubsetManifest, read_subset_manifest
from resources.lake.published_files import withdraw
from resources.lake.schema import INTERLEAVED

ON_ONE_SIDE = {"validation_share": "0", "test_share": "0"}


def write(session: Session, subset: str, **values: str) -> None:
    summary = RunSummary()
    session.write(subset, summary, **values)
    assert summary.failed_runs == {}
    assert summary.is_well


def records(session: Session, folder: str, subset: str) -> tuple[SubsetManifest, dict[str, list[dict[str, Any]]]]:
    """The manifest, and the records by kind. Parquet and JSON lines hold the same, and no other file is there."""
    place = session.lake.file(folder) / subset
    manifest = read_subset_manifest(place)
    assert manifest is not None
    assert {path.name for path, _ in place.files()} == {"manifest.json", *(file.file for file in manifest.files)}
    forms: dict[str, dict[str, list[dict[str, Any]]]] = {".jsonl": {}, ".parquet": {}}
    for file in manifest.files:
        path = (place / file.file).on_disk
        lines = path.suffix == ".jsonl"
        read = list(map(json.loads, path.read_text().splitlines())) if lines else pq.read_table(path).to_pylist()
        assert file.records == len(read)
        forms[path.suffix][file.kind] = read
    assert forms[".jsonl"] == forms[".parquet"]
    return manifest, forms[".jsonl"]


@pytest.fixture
def spoken(session: Session) -> Session:
    """In the first clip of one video, something is said."""
    clip = session.lake.polars("clips").sort("clip_id").to_dicts()[0]
    made = {"text": "Grüß dich.", "english": "Hello.", "language": "de", "provenance": "made", "digest": "d"}
    row = {name: clip[name] for name in ("clip_id", "video_id", "ingest_batch")} | made
    session.lake.upsert("transcripts", pl.DataFrame([row]))
    return session


def test_documents_name_the_clips_of_a_video_in_order_with_their_captions_and_what_is_said(spoken: Session) -> None:
    session = spoken
    session.resources["interleaving"] = Interleaving(drop=0.0, seed=7)
    write(session, "icl", **ON_ONE_SIDE)
    manifest, by_kind = records(session, "interleaved", "icl")
    assert {kind: len(of_kind) for kind, of_kind in by_kind.items()} == {
        **{"a-lists": 2, "a-stream": 2},
        **{"b-lists": 1, "b-stream": 1},
        **{"c-lists": 1, "c-stream": 1},
    }
    assert (manifest.parameters["drop"], manifest.parameters["seed"]) == (0.0, 7)

    clips = session.lake.polars("clips").sort("video_id", "start_seconds").to_dicts()
    captions = dict(session.lake.polars("clip_captions").select("clip_id", "caption").rows())
    sources = dict(session.lake.polars("raw_videos").select("video_id", "source").rows())
    middle = {row["clip_id"]: row for row in session.lake.polars("frames").filter(pl.col("is_middle")).to_dicts()}
    for document in by_kind["a-lists"]:
        (video_id,) = document["video_ids"]
        own = [clip for clip in clips if clip["video_id"] == video_id]
        ids = [clip["clip_id"] for clip in own]
        assert document["images"] == [ids[0], None, ids[1], None]
        assert document["texts"] == [None, captions[ids[0]], None, captions[ids[1]]]
        for clip, reference in zip(own, document["clips"], strict=True):
            assert reference["uri"] == sources[video_id]
            assert (reference["start_seconds"], reference["end_seconds"]) == (
                clip["start_seconds"],
                clip["end_seconds"],
            )
            frame = middle[clip["clip_id"]]
            assert (reference["frame_id"], reference["frame_seconds"]) == (frame["frame_id"], frame["seconds"])

    (spoken_document,) = by_kind["b-lists"]
    assert spoken_document["texts"][2] == "Hello.", "in English where there is English, beside the caption"
    (pair,) = by_kind["c-lists"]
    assert pair["texts"] == [text for video in pair["video_ids"] for text in _texts_of(by_kind["a-lists"], video)]
    for stream in by_kind["a-stream"]:
        assert stream["text"].count("<|video|>") == len(stream["videos"]) == 2


def _texts_of(documents: list[dict[str, Any]], video_id: str) -> list[str | None]:
    return next(document["texts"] for document in documents if document["video_ids"] == [video_id])


def test_a_subset_that_is_written_again_stays_and_another_setting_makes_it_again(
    session: Session, open_session: Callable[[], Session]
) -> None:
    def files() -> dict[str, int]:
        return {
            path.name: Path(str(path)).stat().st_mtime_ns for path, _ in session.lake.file("interleaved/icl").files()
        }

    write(session, "icl")
    write(session, "icl")  # that a form has no document is noted in the lake, so the next snapshot is another
    before, version = files(), session.lake.version(INTERLEAVED.name)
    assert session.lake.polars(INTERLEAVED.name)["dropped_videos"].sum() in (0, 1, 2)
    write(session, "icl")
    assert (files(), session.lake.version(INTERLEAVED.name)) == (before, version)
    session = open_session()
    session.resources["interleaving"] = Interleaving(drop=1.0)
    write(session, "icl")
    assert session.lake.polars(INTERLEAVED.name)["dropped_videos"].to_list() == [1, 1], "one of two clips stays"
    assert set(files()) & set(before) == {"manifest.json"}
    assert records(session, "interleaved", "icl")[0].parameters["drop"] == 1.0


def test_dialogues_of_a_subset_have_only_turns_about_its_clips(session: Session) -> None:
    write(session, "all")
    _, by_kind = records(session, "instructions", "all")
    turns = {row["dialogue_id"]: json.loads(row["turns"]) for row in session.lake.polars("dialogues").to_dicts()}
    for record in by_kind["instructions"]:
        spoken = [message["value"].removeprefix("<image>\n") for message in record["conversations"]]
        own = turns[record["id"]]
        assert spoken == [text for turn in own for text in (turn["question"], turn["answer"])]
        assert [message["from"] for message in record["conversations"]] == ["human", "gpt"] * len(own)
        assert record["conversations"][0]["value"].startswith("<image>\n")
        assert [json.loads(turn["facts"]) for turn in record["turns"]] == [turn["facts"] for turn in own]

    write(session, "random", clips="1")
    (clip_id,) = session.lake.polars("subsets").filter(subset="random")["clip_id"]
    _, by_kind = records(session, "instructions", "random")
    (record,) = by_kind["instructions"]
    assert record["clip_ids"] == [clip_id]
    assert record["turns"]
    assert all(turn["clip_ids"] == [clip_id] for turn in record["turns"])
    assert len(record["turns"]) < len(turns[record["id"]])


@pytest.mark.slow
def test_what_was_written_is_due_again_when_its_files_are_gone_or_its_subset_is_selected_again(
    session: Session, ingest: Callable[..., Any], folder: Path, synthetic_video: Callable[..., Path]
) -> None:
    subset_files = session.resources["subset_files"]
    assert outdated_documents(session.lake, subset_files) == {}
    write(session, "icl")
    assert published_names(session.lake)[-2:] == ["instructions/icl", "interleaved/icl"]
    assert outdated_documents(session.lake, subset_files) == {}
    assert withdraw(session.lake, "interleaved/icl")
    assert list(outdated_documents(session.lake, subset_files)) == ["icl"]
    synthetic_video(folder, "three.mp4", 3)
    ingest(session, folder)
    summary = RunSummary()
    session.publish_what_changed(summary)
    assert summary.failed_runs == {}
    assert outdated_documents(session.lake, subset_files) == {}
    _, by_kind = records(session, "interleaved", "icl")
    assert len(by_kind["a-lists"]) == 3
