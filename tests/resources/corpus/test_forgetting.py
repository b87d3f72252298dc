"""What is meant by an id, a URL or a channel, and that nothing of it stays in tables and media store."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lake_copies import linked_copy

from resources.catalog.tombstones import Names, Tombstones
from resources.corpus.forgetting.forgetting import (
    MAX_VIDEOS_BY_KEY,
    AmbiguousName,
    Target,
    forget,
    names_of,
    seen_by,
    survey,
    tables_to_empty,
    unfinished,
    whole,
)
from resources.incremental.provenance import digest
from resources.lake.schema import TABLES, Table, declare, key, pinned_tables
from resources.lake.store import Lake
from resources.media.store import Media
from resources.training.lake_clips import INDEX

BATCH = "2026-01-02-0001"
WHEN = datetime(2026, 1, 2, 12, tzinfo=UTC)
HERONS, WEIRS = "UCherons", "UCweirs"


def source(url: str, **said: Any) -> dict[str, Any]:
    return {"source_id": digest(url)[:16], "uri": url, "kind": "web", "ingest_batch": BATCH, "written_at": WHEN} | said


def youtube(key: str, channel_id: str, channel: str) -> dict[str, Any]:
    return source(
        f"https://www.youtube.com/watch?v={key}",
        site="youtube.com",
        site_key=key,
        channel_id=channel_id,
        channel=channel,
    )


# Two videos of one channel, one of another with the same bytes as the first, and a direct link.
ONE, TWO = youtube("aaaaaaaaaa1", HERONS, "Herons"), youtube("aaaaaaaaaa2", HERONS, "Herons")
COPY = youtube("bbbbbbbbbb1", WEIRS, "Weirs")
DIRECT = source("https://example.org/video.mp4", site="example.org", site_key="synthetic_video")
SHA = {name: digest(name) * 2 for name in ("one", "two", "direct")}
VIDEO = {name: sha256[:16] for name, sha256 in SHA.items()}


def clip_of(name: str, ticks: str = "0_10") -> str:
    return f"{VIDEO[name]}_{ticks}"


def add(lake: Lake, table: str, *rows: dict[str, Any]) -> None:
    schema = TABLES[table].arrow
    made = {"provenance": "made", "unit_rows": 1, "written_at": WHEN, "ingest_batch": BATCH}
    lake.upsert(
        table,
        pa.Table.from_pylist(
            [dict.fromkeys(schema.names) | {k: v for k, v in made.items() if k in schema.names} | row for row in rows],
            schema=schema,
        ),
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where lake and media store lie; "as made" has them as no test has touched them."""
    place = tmp_path_factory.mktemp("place")
    _fill(Lake(root=str(place / "now" / "lake")), Media(root=str(place / "now" / "media"), keep="import"))
    linked_copy(place / "now", place / "as made")
    return place


@pytest.fixture
def media(place: Path) -> Media:
    return Media(root=str(place / "now" / "media"), keep="import")


@pytest.fixture
def lake(place: Path) -> Lake:
    shutil.rmtree(place / "now")
    linked_copy(place / "as made", place / "now")
    return Lake(root=str(place / "now" / "lake"))


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def _fill(lake: Lake, media: Media) -> None:
    lake.create_tables()
    add(lake, "sources", ONE, TWO, COPY, DIRECT)
    for name, row in (("one", ONE), ("two", TWO), ("direct", DIRECT)):
        _store(lake, media, name, row)
    add(
        lake,
        "attempts",
        {
            "attempt_id": f"raw_videos/{COPY['source_id']}",
            "stage": "raw_videos",
            "key": COPY["source_id"],
            "outcome": "skipped",
            "message": f"exact duplicate of {ONE['uri']}",
            "related_key": VIDEO["one"],
        },
        # Of a list, and of a span that the video has not.
        {"attempt_id": "lists/a/1", "stage": "lists", "key": "a/1", "message": f"twice: {ONE['uri']}"},
        {"attempt_id": "lists/a/2", "stage": "lists", "key": "a/2", "message": f"twice: {TWO['uri']}"},
        {"attempt_id": "annotations/them/one", "stage": "annotations", "key": "them/one", "message": "no such span"},
        {"attempt_id": f"speech/{VIDEO['two']}", "stage": "speech", "key": VIDEO["two"], "outcome": "skipped"},
    )
    pair = "/".join(sorted((VIDEO["one"], VIDEO["two"])))
    low, high = pair.split("/")
    add(lake, "duplicates", {"pair_id": pair, "video_id": low, "other_video_id": high})
    add(
        lake,
        "feeds",
        {"feed_id": "herons", "address": f"https://www.youtube.com/channel/{HERONS}"},
        {"feed_id": "search", "address": f"ytsearch:{HERONS}"},
    )
    add(lake, "feed_polls", {"poll_id": "herons/1", "feed_id": "herons"}, {"poll_id": "search/1", "feed_id": "search"})


def _store(lake: Lake, media: Media, name: str, row: dict[str, Any]) -> None:
    source_id, sha256, video_id = row["source_id"], SHA[name], VIDEO[name]
    path = Path(media.root, sha256[:2], f"{sha256}.mp4")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"bytes of {name}")
    path.with_name(f"{path.name}.left.part").write_text(f"by bytes of {name}")
    subtitles = Path(media.root, "subtitles", source_id, "en.vtt")
    subtitles.parent.mkdir(parents=True)
    subtitles.write_text(f"words of {name}")
    partial = Path(media.download_folder(source_id))
    partial.mkdir(parents=True)
    (partial / "video.part").write_text(f"part of {name}")
    is_direct = name == "direct"
    add(
        lake,
        "downloads",
        {
            "source_id": source_id,
            "url": row["uri"],
            "page_url": row["uri"],
            "extractor": "generic" if is_direct else "youtube",
            "site_key": row["site_key"],
            "path": str(path),
            "sha256": sha256,
            "channel_id": row.get("channel_id"),
            "channel": row.get("channel"),
            "channel_url": None if is_direct else f"https://www.youtube.com/channel/{row['channel_id']}",
        },
    )
    add(
        lake,
        "raw_videos",
        {"video_id": video_id, "source_id": source_id, "source": row["uri"], "path": str(path), "sha256": sha256},
    )
    add(lake, "source_checks", {"check_id": f"{source_id}/1", "source_id": source_id})
    add(lake, "annotations", {"annotation_id": f"them/{name}", "source_id": source_id, "caption": f"theirs of {name}"})
    add(lake, "fingerprints", {"video_id": video_id})
    for ticks in ("0_10", "10_20"):
        clip = {"clip_id": f"{video_id}_{ticks}", "video_id": video_id}
        add(lake, "clips", clip)
        add(lake, "frames", clip | {"frame_id": f"{clip['clip_id']}_3", "jpeg": f"picture of {name}".encode()})
        add(lake, "frame_captions", clip | {"frame_caption_id": f"{clip['clip_id']}_3/fine", "caption": f"f of {name}"})
        add(lake, "clip_captions", clip | dict.fromkeys(("caption", "caption_terms"), f"zq{name}zq is seen"))
        for table in ("clip_things", "clip_embeddings", "caption_embeddings"):
            add(lake, table, clip | {"vector": [0.5] * 768})
        add(lake, "clip_scores", clip | {"score_id": f"{clip['clip_id']}/aesthetics", "value": 1.0})
        add(lake, "transcripts", clip | {"text": f"said in {name}"})
        add(lake, "dialogues", clip | {"dialogue_id": f"{video_id}/{ticks}", "turns": f"asked of zq{name}zq"})
        add(lake, "review_samples", clip | {"sample_clip_id": f"{clip['clip_id']}/s", "sample": "s"})
        add(lake, "judgements", clip | {"judgement_id": f"{clip['clip_id']}/1", "judge": "ann", "verdict": "good"})
        add(lake, "subsets", clip | {"subset_clip_id": f"all/{clip['clip_id']}", "subset": "all", "split": "train"})
    for form, ids in (("a", {"video_id": video_id}), ("c", {"video_id": "0" * 16, "other_video_id": video_id})):
        document = {"document_id": f"all/{form}/{video_id}", "subset": "all", "form": form, "texts": [f"in {name}"]}
        add(lake, "interleaved", document | ids)
    add(lake, "speech", {"cue_id": f"{video_id}/0", "video_id": video_id, "text": f"cue of {name}"})


def run(lake: Lake, media: Media, instance: dg.DagsterInstance, target: Target) -> list[str]:
    return list(forget(lake, media, instance, target, reason=None, run_id="test", published=["report.html"]))


def keys(lake: Lake) -> dict[str, set[str]]:
    return {name: set(lake.polars(name)[table.key]) for name, table in TABLES.items() if name != "tombstones"}


def files_with(text: str, *roots: str) -> list[str]:
    """Files, besides those of the tombstones, in which it stands."""
    return [
        path
        for root in roots
        for folder, _, names in os.walk(root)
        for path in (os.path.join(folder, name) for name in names)
        if "tombstones.lance" not in path and text.encode() in Path(path).read_bytes()
    ]


# --- what is meant ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word",
    [
        ONE["source_id"],
        VIDEO["one"],
        SHA["one"],
        "aaaaaaaaaa1",
        ONE["uri"],
        "https://youtu.be/aaaaaaaaaa1?t=3",
        "https://m.youtube.com/watch?v=aaaaaaaaaa1&utm_source=x",
    ],
)
def test_a_video_is_meant_by_any_of_its_names_and_so_is_every_source_of_its_bytes(lake: Lake, word: str):
    names, is_known = names_of(lake, word)
    target = whole(lake, names)
    assert is_known
    assert target.video_ids == {VIDEO["one"]}
    assert target.source_ids == {ONE["source_id"], COPY["source_id"]}
    assert target.names == Names(
        urls=frozenset([ONE["uri"], COPY["uri"]]),
        site_keys=frozenset(["youtube.com/aaaaaaaaaa1", "youtube.com/bbbbbbbbbb1"]),
        sha256s=frozenset([SHA["one"]]),
    )
    assert target.since == datetime(2026, 1, 2, tzinfo=UTC)


def test_a_direct_link_s_file_name_is_no_id_that_is_refused(lake: Lake):
    target = whole(lake, names_of(lake, DIRECT["uri"])[0])
    assert target.names == Names(urls=frozenset([DIRECT["uri"]]), sha256s=frozenset([SHA["direct"]]))


@pytest.mark.parametrize("word", [HERONS, "Herons", f"https://www.youtube.com/channel/{HERONS}"])
def test_a_channel_is_meant_by_id_name_or_url_with_all_its_videos_and_its_feed(lake: Lake, word: str):
    target = whole(lake, names_of(lake, word)[0])
    assert target.names.channels == {HERONS}
    assert target.video_ids == {VIDEO["one"], VIDEO["two"]}
    assert target.feed_ids == {"herons"}


def test_a_path_is_meant_by_the_file_that_lies_there(lake: Lake, tmp_path: Path):
    file = tmp_path / "a video.mp4"
    file.write_text("synthetic_video")
    assert names_of(lake, str(file)) == (Names(urls=frozenset([file.as_uri()])), False)


@pytest.mark.parametrize(
    ("word", "channel", "names"),
    [
        ("https://Example.org:443/new.mp4#x", False, Names(urls=frozenset(["https://example.org/new.mp4"]))),
        ("ccccccccccc", False, Names(urls=frozenset(["https://www.youtube.com/watch?v=ccccccccccc"]))),
        ("f" * 64, False, Names(sha256s=frozenset(["f" * 64]))),
        ("UCnew", True, Names(channels=frozenset(["UCnew"]))),
    ],
)
def test_what_is_not_here_is_forgotten_in_advance(lake, media, instance, word: str, channel: bool, names: Names):
    assert names_of(lake, word, is_channel=channel) == (names, False)
    before = keys(lake)
    target = whole(lake, names)
    assert survey(lake, media, instance, target, ["report.html"]).held == []
    run(lake, media, instance, target)
    assert keys(lake) == before
    assert set(lake.polars("tombstones")["state"]) == {"done"}


def test_what_is_unknown_or_means_several_things_is_told_in_words(lake: Lake):
    with pytest.raises(AmbiguousName, match="nothing here is called 'heron'"):
        names_of(lake, "heron")
    add(lake, "sources", youtube("ccccccccccc", "UCother", "Herons"))
    with pytest.raises(AmbiguousName, match="several channels: give one of the ids UCherons, UCother"):
        names_of(lake, "Herons")
    add(lake, "sources", source("https://vimeo.com/aaaaaaaaaa1", site="vimeo.com", site_key="aaaaaaaaaa1"))
    with pytest.raises(AmbiguousName, match="an id on several sites: give one of the URLs"):
        names_of(lake, "aaaaaaaaaa1")
    add(lake, "sources", youtube("ddddddddddd", "UCd", "ccccccccccc"))
    with pytest.raises(AmbiguousName, match="and a channel: give the URL, or --channel"):
        names_of(lake, "ccccccccccc")
    assert names_of(lake, "ccccccccccc", is_channel=True)[0] == Names(channels=frozenset(["UCd"]))


def test_every_table_is_gone_through_or_names_no_video():
    without_videos = {"tombstones", "active_checkpoint", "corpus_snapshot", "subset_snapshots"}
    without_videos |= {"checkpoints", "chat_checkpoints", "chat_answers", "generation_checkpoints"}
    without_videos |= {"removed_snapshots", "snapshot_changes"}
    assert set(tables_to_empty()) | without_videos | {"evaluations", "costs", "exports", "batch_states"} == set(TABLES)


@pytest.fixture
def own_table():
    """A table of a stage of the user's own, whose rows name their video by their key alone."""
    own = Table(
        "own_marks", "a mark of a clip", "mark_id", (key("mark_id", "clip_id/name"),), key_begins_with_video=True
    )
    declare(own)
    yield own
    TABLES.pop(own.name)


@pytest.mark.parametrize("videos", [1, MAX_VIDEOS_BY_KEY, MAX_VIDEOS_BY_KEY + 1])
def test_rows_of_a_stage_of_ones_own_are_removed_too(own_table, lake, media, instance, videos: int):
    lake.create_tables()
    add(lake, own_table.name, {"mark_id": f"{clip_of('one')}/good"})
    add(lake, own_table.name, {"mark_id": f"{clip_of('two')}/good"})
    target = whole(lake, names_of(lake, "aaaaaaaaaa1")[0])
    many = frozenset(f"{number:016x}" for number in range(videos - 1))
    run(lake, media, instance, replace(target, video_ids=target.video_ids | many))
    assert keys(lake)[own_table.name] == {f"{clip_of('two')}/good"}


# --- removing it --------------------------------------------------------------------------------------------------


def test_a_forgotten_video_leaves_no_row_no_byte_and_no_word_and_the_others_stay_as_they_were(
    lake: Lake, media: Media, instance: dg.DagsterInstance, whole_tables
):
    lake.optimize(keep_versions_for=timedelta(days=7))
    lake.tag("before")
    add(lake, "corpus_snapshot", {"snapshot_table": "before/clips", "snapshot": "before", "table_name": "clips"})
    of_snapshots = ("corpus_snapshot", "removed_snapshots", "snapshot_changes")
    contents = [name for name in TABLES if name not in ("tombstones", *of_snapshots)]
    before = whole_tables(lake, *contents)
    Path(lake.root, "report.html").write_text("zqonezq is seen")

    target = whole(lake, names_of(lake, "aaaaaaaaaa1")[0])
    found = survey(lake, media, instance, target, ["report.html"])
    told = {held.what: held.number for held in found.held}
    steps = run(lake, media, instance, target)

    gone = {"sources": 2, "duplicates": 1, "attempts": 3} | dict.fromkeys(
        ("downloads", "raw_videos", "fingerprints", "speech", "source_checks", "annotations"), 1
    )
    per_clip = (
        "clips",
        "frames",
        "frame_captions",
        "clip_captions",
        "clip_things",
        "clip_embeddings",
        "caption_embeddings",
        "clip_scores",
        "transcripts",
        "dialogues",
        "review_samples",
        "judgements",
    )
    gone |= dict.fromkeys((*per_clip, "subsets", "interleaved"), 2)
    assert told == gone | {"media store": 3, "partial downloads": 1, "snapshots": 1, "published files": 1}
    assert steps[-1] == "done"
    after = whole_tables(lake, *contents)
    for table in contents:
        assert len(before[table]) - len(after[table]) == gone.get(table, 0), table
        assert {key: before[table][key] for key in after[table]} == after[table]

    for text in (VIDEO["one"], ONE["source_id"], "aaaaaaaaaa1", COPY["source_id"], "zqonezq", "of one", "in one"):
        assert files_with(text, lake.root, media.root) == [], text
    assert files_with("zqtwozq", lake.root) != []
    for table in TABLES:
        assert table in ("tombstones", *of_snapshots) or len(lake.dataset(table).versions()) == 1 or not after[table]
    assert lake.tags() == []
    assert lake.polars("corpus_snapshot").height == 0
    assert not Path(lake.root, "report.html").exists()
    assert not Path(media.download_folder(ONE["source_id"])).exists()
    assert [row["clip_id"] for row in lake.search("zqtwozq").to_pylist()] == [clip_of("two"), clip_of("two", "10_20")]
    assert lake.search("zqonezq").num_rows == 0
    tombstones = Tombstones(lake)
    assert tombstones.refuses_content(SHA["one"])
    assert tombstones.refuses_source(COPY["uri"], None, None, None)
    assert unfinished(lake) is None


def test_what_was_deleted_before_but_lies_in_files_goes_with_the_next_forgetting(lake, media, instance):
    """A row that was deleted by itself stays in its fragment, in the index, and in older versions."""
    lake.delete("clip_captions", [clip_of("one")])
    assert files_with("zqonezq", lake.root) != []
    run(lake, media, instance, whole(lake, names_of(lake, VIDEO["one"])[0]))
    assert files_with("zqonezq", lake.root) == []


def test_a_channel_goes_with_its_videos_and_its_feed_and_copies_elsewhere(lake, media, instance):
    run(lake, media, instance, whole(lake, names_of(lake, "Herons")[0]))
    left = keys(lake)
    assert left["sources"] == {DIRECT["source_id"]}
    assert left["clips"] == {clip_of("direct"), clip_of("direct", "10_20")}
    assert (left["feeds"], left["feed_polls"]) == ({"search"}, {"search/1"})
    assert left["attempts"] == set() == left["duplicates"]
    assert Tombstones(lake).refuses_source("https://www.youtube.com/watch?v=ccccccccccc", None, HERONS, None)


def test_a_snapshot_from_before_the_video_came_stays(lake: Lake, media: Media, instance: dg.DagsterInstance):
    lake.tag("old")
    url = "https://example.org/late.mp4"
    add(lake, "sources", source(url, ingest_batch=None, written_at=datetime.now(UTC)))
    lake.tag("new")
    run(lake, media, instance, whole(lake, names_of(lake, url)[0]))
    assert lake.tags() == ["old"]
    assert lake.dataset("sources", "old").count_rows() == 4
    held = {table.name: lake.dataset(table.name, "old").to_table().num_rows for table in pinned_tables()}
    assert held == {table.name: lake.polars(table.name).height for table in pinned_tables()}, (
        "all of it can still be read"
    )


def test_a_snapshot_goes_also_where_the_clock_was_set_back_between(lake, media, instance):
    url = "https://example.org/ahead.mp4"
    add(lake, "sources", source(url, ingest_batch=None, written_at=datetime.now(UTC) + timedelta(days=365)))
    lake.tag("new")
    run(lake, media, instance, whole(lake, names_of(lake, url)[0]))
    assert lake.tags() == []


def test_a_channel_of_more_videos_than_are_looked_up_by_key_goes_as_well(lake, media, instance):
    synthetic_videos = [youtube(f"eeeeeeeee{number:02}", "UCmany", "Many") for number in range(MAX_VIDEOS_BY_KEY + 1)]
    videos = [
        {"source_id": synthetic_video["source_id"], "sha256": digest(synthetic_video["uri"]) * 2}
        for synthetic_video in synthetic_videos
    ]
    videos = [video | {"video_id": video["sha256"][:16]} for video in videos]
    before = keys(lake)
    add(lake, "sources", *synthetic_videos)
    add(lake, "raw_videos", *videos)
    for table, name in (("clips", "clip_id"), ("frames", "frame_id"), ("speech", "cue_id")):
        add(lake, table, *({name: f"{video['video_id']}_0_9", "video_id": video["video_id"]} for video in videos))
    run(lake, media, instance, whole(lake, names_of(lake, "Many")[0]))
    assert keys(lake) == before


def test_while_a_run_goes_on_it_stays_begun_and_the_next_call_ends_it(lake, media, instance):
    instance.add_run(dg.DagsterRun("ingest", run_id="on", status=dg.DagsterRunStatus.STARTED))
    target = whole(lake, names_of(lake, DIRECT["uri"])[0])
    assert run(lake, media, instance, target)[-1].startswith(
        "1 runs are unfinished and may still write something of it"
    )
    add(lake, "clips", {"clip_id": clip_of("direct"), "video_id": VIDEO["direct"]})
    begun = unfinished(lake)
    assert begun is not None
    assert begun.video_ids == {VIDEO["direct"]}
    instance.delete_run("on")
    assert run(lake, media, instance, begun)[-1] == "done"
    assert clip_of("direct") not in keys(lake)["clips"]
    assert files_with(VIDEO["direct"], lake.root) == []
    assert unfinished(lake) is None


def test_models_that_saw_it_are_named_and_keep_that_as_hashes(lake: Lake, media: Media, instance: dg.DagsterInstance):
    training, checkpoint = Path(lake.root, "training", "p1"), Path(lake.root, "checkpoints", "tiny")
    for folder in (training, checkpoint):
        folder.mkdir(parents=True)
    clips = [clip_of("one"), clip_of("two")]
    rows = [
        {"clip_id": clip, "video_number": 0, "caption": "zqonezq", "frame_count": 1, "short_side": 1, "frame_rows": [0]}
        for clip in clips
    ]
    with pa.ipc.new_file(training / "clips.arrow", INDEX) as file:
        file.write_table(pa.Table.from_pylist(rows, schema=INDEX))
    pq.write_table(pa.table({"clip_id": clips, "times": [2, 3]}), training / "seen.parquet")
    (training / "config.json").write_text("{}")
    (training / "output.log").write_text(f"{clip_of('one')} cannot be read")
    (training / "latents.cache").write_text("pictures of its clips")
    (checkpoint / "receipt.json").write_text(json.dumps({"snapshot": "s"}))
    of_model = {"model": "tiny|all", "subset": "all", "snapshot": "s"}
    add(
        lake,
        "checkpoints",
        of_model | {"checkpoint_id": "tiny", "path": str(checkpoint), "provenance": "p1"},
        of_model | {"checkpoint_id": "older", "path": "gone", "provenance": "p0"},
    )
    target = whole(lake, names_of(lake, VIDEO["one"])[0])
    assert [(one.kind, one.name, one.clips) for one in seen_by(lake, target)] == [
        ("subset", "all", 2),
        ("checkpoint", "older", None),
        ("checkpoint", "tiny", 1),
    ]
    run(lake, media, instance, target)
    assert files_with(VIDEO["one"], lake.root) == []
    hashes = json.loads((checkpoint / "receipt.json").read_text())["forgotten_clips"]
    assert pq.read_table(training / "seen.parquet").to_pydict() == {"clip_id": [*hashes, clips[1]], "times": [2, 3]}
    assert [one[:7] for one in hashes] == ["sha256:"]
    assert sorted(path.name for path in training.iterdir()) == ["config.json", "seen.parquet"]


def test_exports_that_were_written_since_it_came_are_told(lake: Lake) -> None:
    add(
        lake,
        "exports",
        *(
            {"export_id": name, "path": f"/data/{name}.jsonl", "subset": subset, "clips": 3, "written_at": written_at}
            for name, subset, written_at in (
                ("before", None, WHEN - timedelta(days=2)),
                ("since", None, WHEN),
                ("of a subset", "flt", WHEN + timedelta(days=1)),
            )
        ),
    )
    names, _ = names_of(lake, ONE["uri"])
    told = [(one.name, one.how.partition(",")[0]) for one in seen_by(lake, whole(lake, names)) if one.kind == "export"]
    assert told == [
        ("/data/since.jsonl", "may contain it: every captioned clip"),
        ("/data/of a subset.jsonl", "may contain it: the subset flt"),
    ]
