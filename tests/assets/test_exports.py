"""Exports are read back with the libraries that they are for: the same captions, spans and frames in every form."""

import csv
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import dagster as dg
import pytest
import yaml
from command import internvid, refused, succeeded
from lake_copies import linked_copy

from assets.partitions import export_key
from orchestration.cli.export import FormName
from orchestration.cli.session import RunSummary, Session
from resources.corpus.exports.forms import FORMS as FORMS_BY_NAME
from resources.corpus.exports.layout import PARTS
from resources.corpus.exports.manifest import Head, files_of, read_head
from resources.corpus.exports.manifest import verify as faults_of
from resources.corpus.exports.register import make_registered_export
from resources.corpus.exports.rewriting import holds, take_out
from resources.corpus.exports.run import FolderInUse, Options
from resources.corpus.exports.selection import NothingToExport, selection
from resources.incremental.faults import SystemFault

Rows = list[tuple[str, float, int]]  # caption, seconds, frames
FORMS = ("jsonl", "hf", "webdataset", "lance", "llava", "fiftyone", "csv", "coco")
OF_A_COMMIT = ("clips.lance/_versions/", "clips.lance/_transactions/")  # Lance writes times and names by chance there


@pytest.fixture(scope="module")
def made(
    place: Path, two_videos: Path, open_session: Callable[[], Session]
) -> tuple[Session, dict[str, dict[str, Any]]]:
    """The lake of two videos with the subset `all`; and what it has of each clip, by clip_id."""
    shutil.rmtree(place, ignore_errors=True)
    linked_copy(two_videos, place)
    session = open_session()
    session.select("all", summary := RunSummary())
    assert summary.failed_runs == {}
    rows = session.lake.query(
        "select clips.*, caption, split from clips join clip_captions using (clip_id) join subsets using (clip_id)"
    )
    return session, {row["clip_id"]: row for row in rows.to_pylist()}


@pytest.fixture
def export(made, tmp_path: Path) -> Callable[..., tuple[Path, Head]]:
    """export("hf"): an export of the subset, in parts of one clip; returns its folder and manifest."""
    session, _ = made

    def make(
        form: str, clips: str = "exact", name: str = "out", clips_per_part: int = 1, **options: Any
    ) -> tuple[Path, Head]:
        chosen = selection(session.lake, session.resources["subset_files"], subset="all", at=None)
        path = tmp_path / name
        return path, make_registered_export(
            session.lake, session.media, path, chosen, Options(form, clips, clips_per_part=clips_per_part), **options
        )

    return make


def frames_in(content: bytes) -> int:
    with av.open(io.BytesIO(content)) as container:
        return sum(1 for _ in container.decode(video=0))


# --- readers: each returns split -> clips, by what others read the form with -----------------------------------------


def read_jsonl(path: Path) -> dict[str, Rows]:
    splits: dict[str, Rows] = {}
    for file in sorted(path.glob("*/*.jsonl")):
        if file.parent.name == "index":
            continue
        for line in map(json.loads, file.read_text().splitlines()):
            begin, end = (float(line[f"{name}_timestamp"].split(":")[2]) for name in ("Start", "End"))
            frames = frames_in((path / line["Clip_File"]).read_bytes())
            splits.setdefault(file.parent.name, []).append((line["Caption"], end - begin, frames))
    return splits


def read_hf(path: Path) -> dict[str, Rows]:
    from datasets import Video, load_dataset

    dataset = load_dataset(str(path), "all", cache_dir=str(path.parent / "cache"))
    assert all(isinstance(rows.features["video"], Video) for rows in dataset.values())
    return {
        split: [
            (row["caption"], row["end_seconds"] - row["start_seconds"], frames_in(row["video"]["bytes"]))
            for row in rows.cast_column("video", Video(decode=False))
        ]
        for split, rows in dataset.items()
    }


def read_webdataset(path: Path) -> dict[str, Rows]:
    import webdataset

    splits: dict[str, Rows] = {}
    for split in ("train", "validation", "test"):
        shards = sorted(str(shard) for shard in (path / split).glob("*.tar"))
        if shards:
            samples = webdataset.WebDataset(shards, shardshuffle=False).decode()
            splits[split] = []
            for sample in samples:
                ((begin, end),) = sample["json"]["clips"]
                assert sample["__key__"] == sample["json"]["key"]
                splits[split].append((sample["txt"], end - begin, frames_in(sample["mp4"])))
    for file in path.glob("*/*_stats.json"):
        assert json.loads(file.read_text())["successes"] == 1
    return splits


def read_lance(path: Path) -> dict[str, Rows]:
    import lance

    table = lance.dataset(str(path / "clips.lance"))
    splits: dict[str, Rows] = {}
    for position, row in enumerate(table.to_table(columns=["split", "caption", "seconds"]).to_pylist()):
        (blob,) = table.take_blobs("clip", indices=[position])
        splits.setdefault(row["split"], []).append((row["caption"], row["seconds"], frames_in(blob.readall())))
    return splits


def read_llava(path: Path) -> dict[str, Rows]:
    splits: dict[str, Rows] = {}
    for file in path.glob("*.json"):
        if file.name != "manifest.json":
            for item in json.loads(file.read_text()):
                question, answer = item["conversations"]
                assert (question["from"], answer["from"]) == ("human", "gpt")
                assert question["value"].startswith("<image>\n")
                splits.setdefault(file.stem, []).append((answer["value"], *length(path / item["video"])))
    return splits


def read_fiftyone(path: Path) -> dict[str, Rows]:
    """As its documentation says: a video in data/ for each id, whose spans count frames from 1."""
    labels = json.loads((path / "labels.json").read_text())
    assert labels["classes"] is None
    splits: dict[str, Rows] = {}
    for name, spans in labels["labels"].items():
        (video,) = (path / "data").glob(f"{name}.*")
        for span in spans:
            seconds, frames = length(video)
            assert span["support"] == [1, frames]
            splits.setdefault(span["attributes"]["split"], []).append((span["label"], seconds, frames))
    return splits


def read_csv(path: Path) -> dict[str, Rows]:
    splits: dict[str, Rows] = {}
    for file in path.glob("*/openvid.csv"):
        rows = list(csv.DictReader(file.open()))
        koala = list(csv.DictReader((file.parent / "koala.csv").open()))
        assert [row["caption"] for row in rows] == [row["caption"] for row in koala]
        assert all(row["timestamp"].startswith("['00:00:0") for row in koala)
        splits[file.parent.name] = [(row["caption"], float(row["seconds"]), int(row["frame"])) for row in rows]
        assert all((path / row["video"]).exists() for row in rows)
    return splits


def read_coco(path: Path) -> dict[str, Rows]:
    splits: dict[str, Rows] = {}
    for file in path.glob("captions_*.json"):
        content = json.loads(file.read_text())
        images = {image["id"]: image for image in content["images"]}
        splits[file.stem.removeprefix("captions_")] = [
            (annotation["caption"], *length(path / images[annotation["image_id"]]["file_name"]))
            for annotation in content["annotations"]
        ]
    return splits


def length(video: Path) -> tuple[float, int]:
    with av.open(str(video)) as container:
        frames = list(container.decode(video=0))
        return float(frames[-1].time + frames[-1].duration * frames[-1].time_base), len(frames)


READERS = {name: globals()[f"read_{name}"] for name in FORMS}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_reads_back_with_the_same_captions_spans_and_frames(made, export, form):
    _, clips = made
    path, head = export(form)
    expected: dict[str, Rows] = {}
    for clip in sorted(clips.values(), key=lambda clip: (clip["video_id"], clip["start_seconds"])):
        row = (clip["caption"], clip["end_seconds"] - clip["start_seconds"], clip["end_frame"] - clip["start_frame"])
        expected.setdefault(clip["split"], []).append(row)
    read = READERS[form](path)
    assert read.keys() == expected.keys()
    for split, rows in expected.items():
        assert [(caption, frames) for caption, _, frames in read[split]] == [(row[0], row[2]) for row in rows]
        assert [seconds for _, seconds, _ in read[split]] == pytest.approx([row[1] for row in rows], abs=0.002)
    assert (head.clips_selected, head.clips_exported, head.failures.by_class) == (len(clips), len(clips), {})
    assert (head.plan.subset, head.plan.form) == ("all", form)
    assert "select" in (head.plan.statement or "")
    assert head.plan.values["validation_share"] == 0.1
    assert {use.role for use in head.models} >= {"caption", "score aesthetics"}
    assert list(faults_of(path)) == []
    assert not (path / PARTS).exists()
    front_matter = yaml.safe_load((path / "README.md").read_text().split("---")[1])
    assert front_matter["size_categories"] == ["n<1K"]


def test_an_export_that_was_interrupted_goes_on_and_has_the_same_checksums(made, export, tmp_path):
    class Interrupted(Exception):
        pass

    passed = []

    def interrupt(clips: int) -> None:
        passed.append(clips)
        if sum(passed) == 3:
            raise Interrupted

    for form in ("lance", "webdataset", "llava"):
        whole, head = export(form, name=f"{form} whole")
        passed.clear()
        with pytest.raises(Interrupted):
            export(form, name=f"{form} resumed", on_clips=interrupt)
        resumed = tmp_path / f"{form} resumed"
        assert not (resumed / "manifest.json").exists()
        assert list(resumed.glob(f"{PARTS}/*.json"))
        before = {
            path: path.stat().st_mtime_ns for path in resumed.rglob("*") if path.suffix in (".tar", ".lance", ".mp4")
        }
        _, head_of_resumed = export(form, name=f"{form} resumed")
        assert head_of_resumed.content_sha256 == head.content_sha256
        assert checksums(resumed) == checksums(whole)
        kept = [path for path, time in before.items() if path.exists() and path.stat().st_mtime_ns == time]
        assert kept, "what was done was not done again"
        # A complete export is not touched.
        assert export(form, name=f"{form} resumed") == (resumed, head_of_resumed)


def checksums(path: Path) -> dict[str, str]:
    return {file.file: file.sha256 for file in files_of(path) if not file.file.startswith(OF_A_COMMIT)}


def test_a_clip_that_cannot_be_cut_is_counted_with_its_reason_and_the_others_are_there(made, export):
    session, clips = made
    video = session.lake.query("select video_id, path from raw_videos where source like '%one.mp4'").to_pylist()[0]
    away = Path(video["path"]).with_name("away")
    Path(video["path"]).rename(away)
    try:
        path, head = export("webdataset")
    finally:
        away.rename(video["path"])
    of_video = {clip_id for clip_id, clip in clips.items() if clip["video_id"] == video["video_id"]}
    assert head.failures.by_class == {"FileNotFoundError": len(of_video)}
    assert {failure["clip_id"] for failure in head.failures.listed} == of_video
    assert head.clips_exported == len(clips) - len(of_video)
    assert sum(map(clips_in_shard, path.glob("*/*.tar"))) == head.clips_exported
    stats = [json.loads(file.read_text()) for file in sorted(path.glob("*/*_stats.json"))]
    assert sum(each["failed_to_subsample"] for each in stats) == len(of_video)


def test_parts_without_anything_to_cut_are_written_as_they_come(made, export, tmp_path):
    written = []
    export("coco", "none", on_clips=lambda clips: written.append(len(list(tmp_path.glob(f"out/{PARTS}/[0-9]*.json")))))
    assert written == list(range(len(written))), "one part after another, none kept"


def test_a_clip_that_could_not_be_cut_is_tried_again_when_the_export_goes_on(made, export, tmp_path):
    class Interrupted(Exception):
        pass

    def interrupt(clips: int) -> None:
        records = [json.loads(file.read_text()) for file in tmp_path.glob(f"out/{PARTS}/*/*.json")]
        if any(record["status"] == "failed" for record in records):
            raise Interrupted

    session, clips = made
    video = Path(session.lake.query("select path from raw_videos where source like '%one.mp4'").to_pylist()[0]["path"])
    away = video.with_name("away")
    video.rename(away)
    try:
        with pytest.raises(Interrupted):
            export("llava", clips_per_part=10, on_clips=interrupt)
    finally:
        away.rename(video)
    _, head = export("llava", clips_per_part=10)
    assert (head.failures.by_class, head.clips_exported) == ({}, len(clips))


def clips_in_shard(shard: Path) -> int:
    with tarfile.open(shard) as tar:
        return sum(name.endswith(".mp4") for name in tar.getnames())


@pytest.mark.parametrize("form", ["hf", "webdataset", "lance", "llava"])
def test_a_video_is_taken_out_of_an_export_which_stays_whole(made, export, form):
    _, clips = made
    path, head = export(form)
    video_id = next(iter(clips.values()))["video_id"]
    left = [clip for clip in clips.values() if clip["video_id"] != video_id]
    assert holds(path, {video_id}) == take_out(path, {video_id}) == len(clips) - len(left)
    assert list(faults_of(path)) == []
    after = read_head(path)
    assert after is not None
    assert (after.clips_exported, after.forgotten) == (len(left), len(clips) - len(left))
    assert after.content_sha256 != head.content_sha256
    rows = [row for rows in READERS[form](path).values() for row in rows]
    assert sorted(caption for caption, _, _ in rows) == sorted(clip["caption"] for clip in left)
    contents = b"".join(file.read_bytes() for file in path.rglob("*") if file.is_file())
    assert video_id.encode() not in contents
    assert take_out(path, {video_id}) == 0


@pytest.mark.parametrize(("form", "clips"), [("fiftyone", "none"), ("hf", "none"), ("llava", "copy")])
def test_clips_may_be_copied_or_left_in_their_videos(made, export, form, clips):
    _, known = made
    path, head = export(form, clips)
    assert head.clips_exported == len(known)
    rows = [json.loads(line) for file in sorted(path.glob("index/*")) for line in file.read_text().splitlines()]
    assert {row["clip_id"] for row in rows} == known.keys()
    if form == "fiftyone":
        labels = json.loads((path / "labels.json").read_text())["labels"]
        spans = {tuple(span["support"]) for spans in labels.values() for span in spans}
        assert spans == {(clip["start_frame"] + 1, clip["end_frame"]) for clip in known.values()}
        assert all(Path(video).is_file() for video in labels)
    elif form == "hf":
        from datasets import load_dataset

        dataset = load_dataset(str(path), cache_dir=str(path.parent / "cache"))
        assert sum(map(len, dataset.values())) == len(known)
        assert "video" not in dataset["train"].features
    else:
        assert all(row["file_start_seconds"] <= row["start_seconds"] for row in rows)
        assert all(length(path / row["file"])[1] == row["frames"] >= 1 for row in rows)


def test_what_is_not_there_and_a_folder_of_something_else_are_refused(made, export, tmp_path):
    session, _ = made
    with pytest.raises(NothingToExport, match="internvid subset make div"):
        selection(session.lake, session.resources["subset_files"], subset="div", at=None)
    with pytest.raises(NothingToExport, match="no snapshot 'yesterday'"):
        selection(session.lake, session.resources["subset_files"], subset=None, at="yesterday")
    export("coco", "none")
    with pytest.raises(FolderInUse, match=r"another export \(form coco"):
        export("llava", "none")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(FolderInUse, match="no export"):
        export("llava", "none", name="mine")


def test_a_subset_is_exported_as_it_is_at_another_snapshot(made):
    session, clips = made
    lake, subset_files = session.lake, session.resources["subset_files"]
    snapshot = selection(lake, subset_files, subset="all", at=None).snapshot
    lake.tag("corpus-earlier")
    try:
        from resources.corpus.exports.selection import selected_clips

        chosen = selection(lake, subset_files, subset="all", at="corpus-earlier")
        assert chosen.snapshot == "corpus-earlier" != snapshot
        with selected_clips(lake, chosen) as (count, rows):
            assert {row["clip_id"]: row["split"] for row in rows} == {key: clip["split"] for key, clip in clips.items()}
            assert count == len(clips)
    finally:
        for table in ("clips", "clip_captions", "raw_videos", "downloads", "transcripts", "clip_scores"):
            lake.dataset(table).tags.delete("corpus-earlier")


def test_the_command_exports_a_folder_and_verify_finds_each_kind_of_fault(made, tmp_path):
    session, clips = made
    out = tmp_path / "out"
    command = ("export", out, "--form", "fiftyone", "--height", "60", "--workers", "1", "--subset", "all")
    text = succeeded(internvid(*command, lake=session.lake.root))
    assert f"{len(clips)} clips of all in {out}" in text
    head = read_head(out)
    assert head is not None
    assert head.plan.max_height == 60
    assert "as its manifest says" in succeeded(internvid("verify", out))
    changed, missing = sorted(out.rglob("*.mp4"))[:2]
    content = bytearray(changed.read_bytes())
    content[100] ^= 1
    changed.write_bytes(content)
    missing.unlink()
    (out / "data" / "extra.mp4").touch()
    done = internvid("verify", out)
    assert done.returncode == 1
    assert sorted(done.stdout.splitlines()) == sorted(
        [
            f"{changed.relative_to(out)}: changed: another sha256",
            f"{missing.relative_to(out)}: missing",
            "data/extra.mp4: extra: the manifest does not name it",
        ]
    )
    assert "no complete export" in refused(internvid("verify", tmp_path))
    assert [form.value for form in FormName] == list(FORMS_BY_NAME) == list(FORMS)
    assert "give --form" in refused(internvid("export", out, "--clips", "copy", lake=session.lake.root))
    rows = session.lake.query("select path, form, clips from exports where path = $path", {"path": str(out.resolve())})
    assert rows.to_pylist() == [{"path": str(out.resolve()), "form": "fiftyone", "clips": len(clips)}]


def test_a_full_disk_ends_it_with_one_message_and_once_there_is_room_it_goes_on(made, export, disk):
    whole, head = export("webdataset")
    subprocess.run(["mount", "-o", f"remount,size={head.bytes // 4096 * 2048}", disk], check=True)
    with pytest.raises(SystemFault, match=f"no room left on the disk of {disk}"):
        export("webdataset", name=str(disk / "out"))
    subprocess.run(["mount", "-o", "remount,size=10m", disk], check=True)
    _, head_of_resumed = export("webdataset", name=str(disk / "out"))
    assert head_of_resumed.failures.by_class == {}
    assert checksums(disk / "out") == checksums(whole)


def test_the_asset_exports_by_form_and_subset_and_goes_with_the_subset(made, tmp_path):
    session, clips = made
    config = {"exports": {"config": {"clips": "none", "folder": str(tmp_path)}}}
    result = session.run("export", RunSummary(), partition=export_key("coco", "all"), config=config)
    (event,) = result.get_asset_materialization_events()
    metadata = {name: value.value for name, value in event.materialization.metadata.items()}
    assert metadata["dagster/row_count"] == len(clips)
    assert list(faults_of(Path(metadata["path"]))) == []
    graph = session._definitions.resolve_asset_graph()
    assert dg.AssetKey("subsets") in graph.get(dg.AssetKey("exports")).parent_keys
