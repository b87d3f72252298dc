"""The training of a chat in a process of its own, on a tiny lake: killed, and started again."""

import json
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import cv2
import dagster as dg
import numpy as np
import polars as pl
import pytest
from small_chats import COLOURS, ColouredVideos, small_recipe, small_viclip

from internvid.viclip.checkpoint import save_checkpoint
from resources.lake.store import Lake
from resources.training.trainer import TrainedChat, Trainer, TrainingFailed

SNAPSHOT = "corpus-test"
RECIPE = replace(small_recipe(), tune=replace(small_recipe().tune, epochs=20))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The coloured videos as a lake: two clips each, with frames, captions and dialogues."""
    lake = Lake(root=str(tmp_path_factory.mktemp("lake")))
    lake.create_tables()
    videos = ColouredVideos()
    clips, captions, frames, dialogues = [], [], [], []
    for video, colours in enumerate(videos.colours):
        ids = [f"{video:02}_{clip}" for clip in range(2)]
        for clip, (clip_id, colour) in enumerate(zip(ids, colours, strict=True)):
            about = {"clip_id": clip_id, "video_id": f"{video:02}"}
            clips.append(about | {"start_seconds": 2.0 * clip, "end_seconds": 2.0 * clip + 2})
            captions.append(about | {"caption": f"It is {colour}."})
            jpeg = cv2.imencode(".jpg", np.full((20, 20, 3), COLOURS[colour][::-1], np.uint8))[1].tobytes()
            frames += [
                about | {"frame_id": f"{clip_id}/{n}", "seconds": float(n), "width": 20, "height": 20, "jpeg": jpeg}
                for n in range(2)
            ]
        turns = [
            {"question": turn.question, "answer": turn.answer, "clip_ids": [ids[number - 1] for number in turn.clips]}
            for turn in videos.dialogue(video).turns
        ]
        about = {"dialogue_id": f"{video:02}/0", "video_id": f"{video:02}", "clip_ids": ids}
        dialogues.append(about | {"turns": json.dumps(turns)})
    for table, rows in (("clips", clips), ("clip_captions", captions), ("frames", frames), ("dialogues", dialogues)):
        lake.upsert(table, pl.DataFrame(rows))
    lake.tag(SNAPSHOT)
    return lake


@pytest.fixture(scope="module")
def vision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("vision"), small_viclip())


def trained(lake: Lake, vision: Path, folder: Path) -> TrainedChat:
    """What training as an asset gave."""
    results: list[TrainedChat] = []

    @dg.asset
    def chat(context: dg.AssetExecutionContext, trainer: Trainer) -> dg.MaterializeResult:
        ids = sorted(lake.polars("clips")["clip_id"])
        results.append(trainer.train_chat(context, lake, RECIPE, ids, vision=vision, snapshot=SNAPSHOT, folder=folder))
        return dg.MaterializeResult()

    dg.materialize([chat], resources={"trainer": Trainer(device="cpu", threads=1, save_every_seconds=0.1)})
    return results[0]


@pytest.mark.slow
def test_a_chat_whose_training_is_killed_by_the_system_ends_with_the_same_weights(
    lake: Lake, vision: Path, tmp_path: Path, until: Callable[..., None]
):
    whole = trained(lake, vision, tmp_path / "whole")
    folder = tmp_path / "killed"
    killer = threading.Thread(target=kill_after, args=(folder, whole.steps // 4, until))
    killer.start()
    with pytest.raises(TrainingFailed, match="failed with code -9"):
        trained(lake, vision, folder)
    killer.join()
    log = folder / "log.jsonl"
    assert not (folder / "checkpoint").exists(), "it was done before it could be killed"
    before = len(log.read_text().splitlines())
    assert before < whole.steps

    resumed = trained(lake, vision, folder)
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == list(range(whole.steps))
    assert (resumed.digest, resumed.steps, resumed.loss) == (whole.digest, whole.steps, whole.loss)


def kill_after(folder: Path, steps: int, until: Callable[..., None]) -> None:
    """Kills the process that trains in the folder once it has a saved state of so many steps."""
    log = folder / "log.jsonl"
    until(lambda: (folder / "state.pt").exists() and len(log.read_text().splitlines()) > steps, "the first steps")
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            command = (process / "cmdline").read_text().split("\0")
            if "resources.training.worker" in command and str(folder / "config.json") in command:
                os.kill(int(process.name), signal.SIGKILL)
