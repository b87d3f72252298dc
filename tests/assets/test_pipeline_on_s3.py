"""The same way in a bucket: lake, first model, statistics, report and export on an S3 server."""

import json
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from orchestration.cli.session import RunSummary, Session
from resources.catalog.files import register

pytestmark = pytest.mark.slow(minutes=2)

BUCKET = "lakes"


@pytest.fixture
def session(
    place: Path,
    s3: dict[str, str],
    open_session: Callable[[], Session],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Session:
    monkeypatch.setenv("HOME", str(tmp_path))  # where a training keeps its state
    monkeypatch.setenv("INTERNVID_FIRST_MODEL", "viclip-tiny|all")
    monkeypatch.setenv("INTERNVID_TRIAL_STEPS", "1")
    monkeypatch.setenv("INTERNVID_LAKE", f"s3://{BUCKET}/pipeline")
    monkeypatch.setenv("INTERNVID_STORAGE_OPTIONS", json.dumps(s3))
    return open_session()


def _bucket(s3: dict[str, str]) -> dict[str, bytes]:
    """What lies in the bucket beside the tables."""
    client = boto3.client(
        "s3",
        endpoint_url=s3["aws_endpoint"],
        region_name=s3["aws_region"],
        aws_access_key_id=s3["aws_access_key_id"],
        aws_secret_access_key=s3["aws_secret_access_key"],
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="pipeline/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    beside = [key for key in keys if ".lance/" not in key]
    return {key.split("/", 1)[1]: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in beside}


def test_a_video_goes_the_whole_way_in_a_bucket(session, s3, folder, synthetic_video):
    synthetic_video(folder, "one.mp4", 1)
    register(session.lake, session.media, [str(folder)], run_id="test")
    summary = session.bring_up_to_date()
    assert summary.failed_runs == {}
    assert {stage: {name: n for name, n in found.items() if n} for stage, found in session.counts().items()} == {
        "downloads": {},
        "raw_videos": {"total": 1, "done": 1},
        "clips": {"total": 1, "done": 1},
        "fingerprints": {"total": 1, "done": 1},
        "speech": {"total": 1, "skipped": 1},
        "transcripts": {},  # nothing is said in it
        "clip_things": {"total": 2, "done": 2},
        "frame_captions": {"total": 5, "done": 5},
        "clip_captions": {"total": 2, "done": 2},
        "dialogues": {"total": 1, "done": 1},
        "clip_embeddings": {"total": 2, "done": 2},
        "caption_embeddings": {"total": 2, "done": 2},
        "clip_scores": {"total": 6, "done": 6},
    }
    published = _bucket(s3)
    (checkpoint,) = session.lake.polars("checkpoints")["path"].to_list()
    folder = checkpoint.removeprefix(f"{session.lake.root}/")
    of_model = {"model.safetensors", "config.json", "receipt.json"}
    assert {f"{folder}/{file}" for file in of_model} < set(published)
    manifest = json.loads(published["internvid_jsonl/manifest.json"])
    (listed,) = (f"internvid_jsonl/{group['list']}" for group in manifest["groups"].values())
    (exported,) = (f"internvid_jsonl/{file['file']}" for file in json.loads(published[listed])["files"])
    assert {file for file in published if not file.startswith(folder)} == {
        "format.json",
        "statistics.duckdb",
        "report.html",
        "internvid_jsonl/manifest.json",
        listed,
        exported,
    }
    captions = dict(session.lake.polars("clip_captions").select("clip_id", "caption").rows())
    lines = [json.loads(line) for line in published[exported].decode().splitlines()]
    assert [line["Caption"] for line in lines] == [
        captions[clip_id] for clip_id in session.lake.polars("clips").sort("start_seconds")["clip_id"]
    ]
    assert b"one.mp4" in published["report.html"]

    again = RunSummary()
    session.run_pending_batches(again)
    session.publish_what_changed(again)
    assert again.rows == {}
    assert _bucket(s3) == published
    assert session.lake.search("picture")["clip_id"].to_pylist()


def test_a_generator_is_trained_on_videos_in_a_bucket(
    place, s3, open_session, monkeypatch, tmp_path, folder, synthetic_video
):
    monkeypatch.setenv("HOME", str(tmp_path))  # where a training keeps its state
    monkeypatch.setenv("INTERNVID_FIRST_MODEL", "")
    monkeypatch.setenv("INTERNVID_TRIAL_STEPS", "1")
    monkeypatch.setenv("INTERNVID_LAKE", f"s3://{BUCKET}/generator")
    monkeypatch.setenv("INTERNVID_KEEP", "import")
    monkeypatch.setenv("INTERNVID_STORAGE_OPTIONS", json.dumps(s3))
    session = open_session()
    video = synthetic_video(folder, "one.mp4", 1)
    register(session.lake, session.media, [str(folder)], run_id="test")
    assert session.bring_up_to_date().failed_runs == {}
    video.unlink()
    assert session.lake.polars("raw_videos")["path"][0].startswith(f"s3://{BUCKET}/generator/")
    summary = RunSummary()
    sampling = {"prompts": ["noise"], "denoiser_calls": 1}
    session.train_generator("t2v-tiny", "all", summary, sampling=sampling)
    assert summary.failed_runs == {}
    (generator,) = session.lake.polars("generation_checkpoints").to_dicts()
    assert generator["clips"] == session.lake.polars("clips").height
    assert generator["path"].startswith(f"s3://{BUCKET}/generator/checkpoints/")
    assert session.lake.polars("generated_videos").height == 1, "made by the checkpoint in the bucket"
