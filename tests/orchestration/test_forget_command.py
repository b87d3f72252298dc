"""`internvid forget` as people call it, on a lake that videos went through: no byte stays, also if it is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from lake_copies import linked_copy

from orchestration.cli.session import RunSummary, Session
from resources.catalog.files import register
from resources.corpus.exports.manifest import read_head, verify
from resources.corpus.exports.register import make_registered_export
from resources.corpus.exports.run import Options
from resources.corpus.exports.selection import selection
from resources.corpus.removed_snapshots import removed_snapshots
from resources.corpus.snapshot_diff import Difference, differences
from resources.corpus.snapshots import name_snapshot, newest_snapshot
from resources.lake.schema import TABLES, pinned_tables
from resources.lake.store import Lake

pytestmark = pytest.mark.slow

SUBTITLES = "1\n00:00:00,200 --> 00:00:01,000\nThe heron waits at the weir.\n"
EXPORT = "exported"
PUBLISHED = ("statistics.duckdb", "internvid_jsonl", "report.html", "interleaved/all", "instructions/all")
WORDS = "ball is seen"  # of a caption of one.mp4, and of no other video


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with videos, lake and media store; the environment says so, also to the processes that tests start."""
    place = tmp_path_factory.mktemp("forget")
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("INTERNVID_")]:
            environment.delenv(name)
        environment.setenv("INTERNVID_LAKE", str(place / "now" / "lake"))
        environment.setenv("INTERNVID_MEDIA", str(place / "now" / "media"))
        environment.setenv("INTERNVID_KEEP", "import")
        environment.setenv("INTERNVID_WORKERS", "1")
        environment.setenv("INTERNVID_FIRST_MODEL", "")
        environment.setenv("DAGSTER_HOME", str(place / "now" / "lake" / ".dagster"))
        environment.setenv("COLUMNS", "200")
        yield place


@pytest.fixture(scope="module")
def synthetic_videos(place: Path, synthetic_video: Callable[..., Path]) -> Path:
    """one.mp4, in which somebody speaks, and two.mp4."""
    folder = place / "synthetic_videos"
    folder.mkdir()
    synthetic_video(folder, "one.mp4", 1)
    synthetic_video(folder, "two.mp4", 2)
    (folder / "one.srt").write_text(SUBTITLES)
    return folder


@pytest.fixture(scope="module")
def as_made(place: Path, synthetic_videos: Path) -> Path:
    """A copy of lake and media store with both videos, a snapshot, a written subset, what is published, an export."""
    session, summary = Session(), RunSummary()
    register(session.lake, session.media, [str(synthetic_videos)], run_id="test")
    session.run_pending_batches(summary)
    session.publish_what_changed(summary)
    session.write("all", summary)
    assert summary.failed_runs == {}
    chosen = selection(session.lake, session.resources["subset_files"], subset="all", at=None)
    options = Options("webdataset", clips_per_part=3)
    assert make_registered_export(session.lake, session.media, place / "now" / EXPORT, chosen, options).clips_exported
    session.instance.dispose()
    linked_copy(place / "now", place / "as made")
    return place / "as made"


@pytest.fixture
def lake(place: Path, as_made: Path) -> Lake:
    """The lake as made."""
    return restore(place, as_made)


def restore(place: Path, copy: Path) -> Lake:
    shutil.rmtree(place / "now")
    linked_copy(copy, place / "now")
    return Lake(root=str(place / "now" / "lake"))


def command(*arguments: str) -> list[str]:
    code = "import typer; from orchestration.cli.forget import forget; typer.run(forget)"
    return [sys.executable, "-c", code, *arguments]


def forget(*arguments: str) -> str:
    """What it prints."""
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout


def needles(lake: Lake, synthetic_videos: Path) -> dict[str, bytes]:
    """What tells of one.mp4, and of nothing else, by what it is."""
    video = next(row for row in lake.polars("raw_videos").to_dicts() if row["source"].endswith("one.mp4"))
    captions = {row["caption"]: row["video_id"] for row in lake.polars("clip_captions").to_dicts()}
    own = [caption for caption, video_id in captions.items() if video_id == video["video_id"] and WORDS in caption]
    assert len(own) == 1
    synthetic_video = (synthetic_videos / "one.mp4").read_bytes()
    jpeg = next(row["jpeg"] for row in lake.polars("frames").to_dicts() if row["video_id"] == video["video_id"])
    texts = {"video": video["video_id"], "source": video["source_id"], "file": "one.mp4", "caption": own[0][:40]}
    texts |= {"words": WORDS, "speech": "heron waits"}
    middle, of_jpeg = len(synthetic_video) // 2, len(jpeg) // 2
    return {name: text.encode() for name, text in texts.items()} | {
        "bytes": synthetic_video[middle : middle + 64],
        "jpeg": jpeg[of_jpeg : of_jpeg + 64],
    }


def found_in(place: Path, wanted: dict[str, bytes]) -> dict[str, set[str]]:
    """What is found in which files, and in which versions of which tables as Lance reads them; but for tombstones."""
    found: dict[str, set[str]] = {}
    for path in (path for path in place.rglob("*") if path.is_file() and "tombstones.lance" not in path.parts):
        content = path.read_bytes()
        for name in (name for name, text in wanted.items() if text in content):
            found.setdefault(name, set()).add(str(path.relative_to(place)))
    lake = Lake(root=str(place / "lake"))
    for table in TABLES:
        for version in lake.dataset(table).versions() if table != "tombstones" else ():
            rows = (
                lake.dataset(table, version["version"])
                .to_table()
                .drop_columns(["vector"] * (table in ("clip_embeddings", "caption_embeddings")))
            )
            content = repr(rows.to_pylist()).encode()
            for name in (name for name, text in wanted.items() if text in content):
                found.setdefault(name, set()).add(f"{table} at {version['version']}")
    return found


def files_of(place: Path) -> set[str]:
    """Besides those whose names come by chance."""
    paths = (path.relative_to(place) for path in place.rglob("*") if path.is_file())
    return {str(path) for path in paths if not {".dagster"} & set(path.parts) and ".lance" not in str(path)}


CONTENTS = tuple(name for name in TABLES if name not in ("tombstones", "removed_snapshots", "snapshot_changes"))


def since_the_snapshot(lake: Lake) -> list[Difference]:
    """What differs from the snapshot that was removed."""
    (removed,) = removed_snapshots(lake)
    return list(differences(lake, removed["snapshot"], None))


@pytest.fixture(scope="module")
def forgotten(place: Path, as_made: Path, whole_tables: Callable[..., Any]) -> dict[str, Any]:
    """What an unbroken forgetting of one.mp4 prints and leaves."""
    lake = restore(place, as_made)
    wanted = needles(lake, place / "synthetic_videos")
    before, found_before = whole_tables(lake, *CONTENTS), found_in(place / "now", wanted)
    printed = forget(str(place / "synthetic_videos" / "one.mp4"), "--yes", "--reason", "asked to")
    linked_copy(place / "now", place / "forgotten")
    return {
        "before": before,
        "found_before": found_before,
        "printed": printed,
        "after": whole_tables(lake, *CONTENTS),
        "tombstones": whole_tables(lake, "tombstones", without=("asked_at",)),
        "since the snapshot": since_the_snapshot(lake),
        "files": files_of(place / "now"),
        "found": found_in(place / "now", wanted),
        "needles": wanted,
    }


def test_no_byte_no_word_and_no_id_of_it_is_left_outside_the_tombstones(forgotten: dict[str, Any]):
    everything = {"video", "source", "file", "caption", "words", "speech", "bytes"}
    assert everything <= set(forgotten["found_before"]), "the search finds what there is"
    in_history = {name for name, places in forgotten["found_before"].items() if any("dagster" in one for one in places)}
    assert {"video", "file", "caption", "speech"} <= in_history
    in_export = {
        name for name, places in forgotten["found_before"].items() if any("internvid_jsonl" in one for one in places)
    }
    assert {"video", "caption", "words"} <= in_export
    by_subset = {
        (name, folder)
        for name, places in forgotten["found_before"].items()
        for folder in ("interleaved", "instructions")
        if any(place.startswith(f"lake/{folder}/all/") for place in places)
    }
    assert {("speech", "interleaved"), ("speech", "instructions"), ("video", "instructions")} <= by_subset
    assert forgotten["found"] == {}


def test_the_other_video_s_rows_stay_as_they_were(forgotten: dict[str, Any]):
    before, after = forgotten["before"], forgotten["after"]
    gone = {table: len(before[table]) - len(after[table]) for table in CONTENTS}
    alike = {"duplicates": len(before["duplicates"])} if before["duplicates"] else {}  # with the only other one
    (video_id,) = before["raw_videos"].keys() - after["raw_videos"].keys()
    assert {table: number for table, number in gone.items() if number} == alike | {
        "copy_keys": sum(key.startswith(video_id) for key in before["copy_keys"]),
        **dict.fromkeys(
            ("sources", "raw_videos", "fingerprints", "comparisons", "speech", "transcripts", "dialogues"), 1
        ),
        **dict.fromkeys(("clips", "clip_things", "clip_captions", "subsets", "interleaved"), 2),
        "clip_scores": 4,
        **dict.fromkeys(("frames", "frame_captions"), 5),
        "corpus_snapshot": len(before["corpus_snapshot"]),
    }
    for table in CONTENTS:
        assert {key: before[table][key] for key in after[table]} == after[table], table
    assert len(after["clips"]) == 2


def test_how_the_lake_differs_from_the_snapshot_that_went_is_exactly_what_is_forgotten(forgotten: dict[str, Any]):
    gone = {
        table.name: len(forgotten["before"][table.name]) - len(forgotten["after"][table.name])
        for table in pinned_tables()
    }
    told = [row for row in forgotten["since the snapshot"] if row.kind != "added"]  # as an attempt since is
    assert {(row.table, row.kind, row.rows) for row in told} == {
        (table, "removed", rows) for table, rows in gone.items() if rows
    }
    # A pair of copies counts as its lower video's, which may be the one that stays.
    assert {row.reason for row in told if row.table != "duplicates"} == {"forgotten"}
    assert "`internvid snapshot diff` still compares with it" in forgotten["printed"]


def test_it_says_what_goes_what_had_seen_it_and_that_the_user_s_file_stays(forgotten: dict[str, Any], place: Path):
    printed = " ".join(forgotten["printed"].split())
    assert "snapshots │ 1 │ gone as a whole" in printed
    assert "published files │ 5 │ files" in printed
    assert "subset │ all │ 2" in printed
    assert f"not removed, because it is yours: {place / 'synthetic_videos' / 'one.mp4'}" in printed
    assert "`internvid ingest` or the hourly publishing writes it again" in printed
    assert printed.endswith("done")
    assert (place / "synthetic_videos" / "one.mp4").exists()
    assert not [file for file in forgotten["files"] for name in PUBLISHED if file.startswith(f"lake/{name}")]


def test_a_dry_run_tells_the_same_and_changes_nothing(lake: Lake, place: Path):
    name_snapshot(lake, newest_snapshot(lake)[0]["snapshot"], "paper")
    versions = {table: lake.version(table) for table in TABLES}
    files = files_of(place / "now")
    told = forget(str(place / "synthetic_videos" / "one.mp4"), "--dry-run")
    assert "would be removed" in told
    assert "snapshots │ 1" in " ".join(told.split())
    assert "paper (corpus-" in told, "a snapshot that somebody named is named"
    assert ({table: lake.version(table) for table in TABLES}, files_of(place / "now")) == (versions, files)


def test_dagster_still_knows_the_batch_as_made_and_the_next_run_publishes_anew(forgotten: dict[str, Any], place: Path):
    lake = restore(place, place / "forgotten")
    session, summary = Session(), RunSummary()
    batch = lake.polars("sources")["ingest_batch"][0]
    for asset in ("clips", "frames", "clip_captions"):
        assert session.instance.get_materialized_partitions(dg.AssetKey(asset)) == {batch}
    session.bring_up_to_date()
    assert summary.failed_runs == {}
    assert {name for name in PUBLISHED if (place / "now" / "lake" / name).exists()} == set(PUBLISHED)
    assert len(lake.tags()) == 1
    made = lake.polars("subset_snapshots").to_dicts()[0]
    assert (made["snapshot"], made["clips"]) == (lake.tags()[0], 2)
    session.instance.dispose()


def test_its_clips_are_taken_out_of_an_export_and_the_others_stay(
    forgotten: dict[str, Any], as_made: Path, place: Path
):
    restore(place, place / "forgotten")
    path = place / "now" / EXPORT
    assert f"{path}: 2 clips are taken out of the export" in forgotten["printed"]
    assert list(verify(path)) == []
    before, after = read_head(as_made / EXPORT), read_head(path)
    assert before is not None
    assert after is not None
    assert (before.clips_exported, after.clips_exported, after.forgotten) == (4, 2, 2)


def _commits(lake: Lake, table: str) -> int:
    return len([name for name in os.listdir(f"{lake.uri(table)}/_versions") if name.endswith(".manifest")])


# In the order of the stages, since each run goes on where the last was killed.
MOMENTS: dict[str, Callable[[Lake, dict[str, int]], bool]] = {
    "tombstones are begun": lambda lake, before: _commits(lake, "tombstones") > before["tombstones"],
    "a published file is removed": lambda lake, before: (
        not Path(lake.root, "internvid_jsonl", "manifest.json").exists()
    ),
    "clips are deleted": lambda lake, before: _commits(lake, "clips") > before["clips"],
    "sources are deleted": lambda lake, before: _commits(lake, "sources") > before["sources"],
    "some of how the snapshot differs is kept": lambda lake, before: (
        _commits(lake, "snapshot_changes") > before["snapshot_changes"]
    ),
    "the snapshot's rows are deleted": lambda lake, before: (
        _commits(lake, "corpus_snapshot") > before["corpus_snapshot"]
    ),
    "frames' older versions are gone": lambda lake, before: _commits(lake, "frames") < before["frames"],
}


@pytest.mark.timeout(300)
def test_killed_at_any_step_and_run_again_it_ends_the_same(
    forgotten: dict[str, Any], lake: Lake, place: Path, whole_tables: Callable[..., Any]
):
    log, arguments = place / "log", [str(place / "synthetic_videos" / "one.mp4"), "--reason", "asked to"]
    for moment, has_come in MOMENTS.items():
        before = {table: _commits(lake, table) for table in TABLES}
        with log.open("w") as file:
            process = subprocess.Popen(command(*arguments, "--yes"), stdout=file, stderr=file)
        while not has_come(lake, before):
            assert process.poll() is None, f"it ended before {moment}: {log.read_text()}"
            time.sleep(0.005)
        process.kill()
        assert process.wait() == -signal.SIGKILL, moment
        assert set(lake.polars("tombstones")["state"]) == {"begun"}, moment
        arguments = ["--resume"]

    assert forget("--resume").rstrip().endswith("done")
    assert whole_tables(lake, *CONTENTS) == forgotten["after"]
    assert whole_tables(lake, "tombstones", without=("asked_at",)) == forgotten["tombstones"]
    assert since_the_snapshot(lake) == forgotten["since the snapshot"]
    assert files_of(place / "now") == forgotten["files"]
    assert found_in(place / "now", forgotten["needles"]) == {}
    assert "no interrupted run" in forget("--resume")


def test_what_is_unknown_is_told_in_words_and_nothing_is_begun(lake: Lake):
    done = subprocess.run(command("nobody", "--yes"), capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    assert "nothing here is called 'nobody'" in " ".join(done.stderr.split())
    assert lake.polars("tombstones").height == 0
