"""Training through Dagster Pipes, on a tiny lake: in one process and in two, failing, killed and resumed."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import dagster as dg
import numpy as np
import polars as pl
import pytest
import torch

from internvid.viclip.checkpoint import load_checkpoint
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.recipe import Phase, Recipe
from internvid.viclip.recipes import RECIPES
from internvid.viclip.recipes.viclip_tiny import VICLIP_TINY
from resources.lake.store import Lake
from resources.lake.temporary_folders import LOCK
from resources.training.trainer import Trained, Trainer, TrainingFailed
from resources.training.worker import TrainingConfig, recipe_of

SNAPSHOT = "corpus-test"
CLIPS = 12
STEPS = 40
MARK = "INTERNVID_TEST_STARTER"

RECIPE = replace(
    VICLIP_TINY,
    name="viclip-test",
    model=ViCLIPConfig(
        image_size=16,
        patch_size=8,
        vision_width=16,
        vision_layers=1,
        vision_heads=2,
        text_width=16,
        text_layers=1,
        text_heads=2,
        embed_dim=8,
        vocab_size=600,
        context_length=8,
        frames=4,
    ),
    frames=4,
    phases=(
        Phase(
            "masked",
            mask_ratio=0.5,
            learning_rate=1e-3,
            epochs=1,
            warmup_epochs=0.1,
            batch_size=8,
            min_steps=STEPS,
        ),
    ),
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Clips of flat colours, two a video, four frames each; the last has no caption."""
    lake = Lake(root=str(tmp_path_factory.mktemp("lake")))
    lake.create_tables()
    clips = pl.DataFrame({"clip_id": [f"c{n}" for n in range(CLIPS)], "video_id": [f"v{n // 2}" for n in range(CLIPS)]})
    captions = [f"colour {n} of {CLIPS}" if n < CLIPS - 1 else None for n in range(CLIPS)]
    lake.upsert("clips", clips)
    lake.upsert("clip_captions", clips.with_columns(caption=pl.Series(captions)))
    frames = [
        {
            "frame_id": f"c{n}_{at}",
            "clip_id": f"c{n}",
            "video_id": f"v{n // 2}",
            "seconds": float(at),
            "width": 20,
            "height": 20,
            "jpeg": cv2.imencode(".jpg", np.full((20, 20, 3), (n * 20, 255 - n * 20, at * 30), np.uint8))[1].tobytes(),
        }
        for n in range(CLIPS)
        for at in range(4)
    ]
    lake.upsert("frames", pl.DataFrame(frames))
    lake.tag(SNAPSHOT)
    return lake


def trained(lake: Lake, folder: Path, recipe: Recipe = RECIPE, **settings: int) -> Trained:
    """What training as an asset gave."""
    results = []

    @dg.asset
    def checkpoint(context: dg.AssetExecutionContext, trainer: Trainer) -> dg.MaterializeResult:
        ids = [f"c{n}" for n in range(CLIPS)]
        receipt = {"subset": "all"}
        results.append(
            trainer.train(context, lake, recipe, ids, snapshot=SNAPSHOT, folder=folder, receipt=receipt, keep_seen=True)
        )
        return dg.MaterializeResult()

    dg.materialize([checkpoint], resources={"trainer": Trainer(device="cpu", threads=1, **settings)})
    return results[0]


@pytest.fixture(scope="module")
def unbroken(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(lake, tmp_path_factory.mktemp("training") / "unbroken")


def weights(found: Trained) -> dict[str, torch.Tensor]:
    return load_checkpoint(found.checkpoint).model.state_dict()


def test_an_asset_trains_and_gets_numbers_checkpoint_receipt_and_what_was_left_out(unbroken: Trained):
    assert (unbroken.clips, unbroken.left_out) == (CLIPS - 1, {"no caption": 1})
    assert (unbroken.steps, unbroken.samples) == (STEPS, 8 * STEPS)
    checkpoint = load_checkpoint(unbroken.checkpoint)
    assert checkpoint.model.config == RECIPE.model
    receipt = checkpoint.receipt
    assert {name: receipt[name] for name in ("subset", "snapshot", "left_out", "recipe", "loss")} == {
        "subset": "all",
        "snapshot": SNAPSHOT,
        "left_out": {"no caption": 1},
        "recipe": RECIPE.version,
        "loss": unbroken.loss,
    }
    assert set(pl.read_parquet(unbroken.seen)["clip_id"]) == {f"c{n}" for n in range(CLIPS - 1)}


@pytest.mark.slow
def test_two_processes_end_in_the_weights_of_one_and_log_to_the_run_alone(
    lake: Lake, tmp_path: Path, unbroken: Trained, capfd: pytest.CaptureFixture[str]
):
    of_two = trained(lake, tmp_path / "two", processes=2)
    printed = capfd.readouterr()
    assert load_checkpoint(of_two.checkpoint).receipt["ranks"] == 2
    for name, value in weights(unbroken).items():
        assert torch.allclose(weights(of_two)[name], value, atol=1e-6), name
    assert printed.out == ""
    lines = [line for line in printed.err.splitlines() if " - dagster - " in line]
    assert len(lines) == len(printed.err.splitlines()), "only Dagster's own lines"
    assert any(f"11 clips, {RECIPE.version}, ranks: 2, device: cpu" in line for line in lines)
    assert any(f"step {STEPS} of {STEPS}, masked: loss" in line for line in lines)


@pytest.mark.slow
def test_an_error_of_the_training_comes_back_with_its_text(lake: Lake, tmp_path: Path):
    diverging = replace(RECIPE, phases=(replace(RECIPE.phases[0], learning_rate=float("inf")),))
    with pytest.raises(TrainingFailed) as failed:
        trained(lake, tmp_path / "training", diverging)
    told = str(failed.value)
    assert told.startswith("FloatingPointError: step ")
    first_line = told.splitlines()[0]
    assert sum(f"c{n}," in f"{first_line}," for n in range(CLIPS)) == 8
    assert "in train\n" in told  # the traceback


def processes_of(mark: str) -> list[str]:
    """Command lines of those alive that inherited the mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files. Its path is short: sockets of torch's processes lie in it."""
    with tempfile.TemporaryDirectory() as folder, monkeypatch.context() as patched:
        patched.setenv("TMPDIR", folder)
        patched.setattr(tempfile, "tempdir", None)
        yield Path(folder)


@pytest.mark.slow
def test_a_training_ends_with_the_killed_process_that_started_it_and_goes_on_when_started_again(
    lake: Lake, tmp_path: Path, unbroken: Trained, until: Callable[..., None], temporary: Path
):
    folder = tmp_path / "training"
    started = subprocess.Popen(
        [sys.executable, __file__, lake.root, str(folder)],
        env=dict(os.environ) | {MARK: str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    log = folder / "log.jsonl"
    until(lambda: (folder / "state.pt").exists() and len(log.read_text().splitlines()) > 3, "the first steps")
    assert len(processes_of(str(tmp_path))) >= 6  # the starter, torchrun, and two ranks with a loader's worker each
    started.kill()
    started.wait()
    until(lambda: processes_of(str(tmp_path)) == [], "the end of every process")
    assert not (folder / "checkpoint").exists(), "it was done before it could be killed"

    resumed = trained(lake, folder)
    # What torch, multiprocessing and Dagster's ephemeral instance of this test leave is not ours.
    assert [path for path in temporary.rglob("*") if path.name in {"context", "messages", LOCK}] == []
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == list(range(STEPS))
    for name, value in weights(unbroken).items():
        assert torch.allclose(weights(resumed)[name], value, atol=1e-6), name


@pytest.mark.slow
def test_a_training_whose_process_is_killed_says_how_it_ended(lake: Lake, tmp_path: Path):
    """As the system does for want of memory."""
    slow = replace(RECIPE, phases=(replace(RECIPE.phases[0], min_steps=1_000_000),))
    folder = tmp_path / "training"
    killer = threading.Thread(target=kill_the_one_that_trains_in, args=(folder,))
    killer.start()
    with pytest.raises(TrainingFailed, match=r"failed with code -9\. The last lines of .*output.log"):
        trained(lake, folder, slow)
    killer.join()


def kill_the_one_that_trains_in(folder: Path) -> None:
    while not (folder / "log.jsonl").exists():
        time.sleep(0.05)
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            command = (process / "cmdline").read_text().split("\0")
            if "resources.training.worker" in command and str(folder / "config.json") in command:
                os.kill(int(process.name), signal.SIGKILL)


def test_a_process_ends_when_what_started_it_gives_up_though_it_lives(tmp_path: Path):
    program = "import sys, time, pathlib, resources.training.worker as run; "
    program += "print('watching', flush=True); run.end_with(pathlib.Path(sys.argv[1]))"
    with (tmp_path / "starter.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        child = subprocess.Popen([sys.executable, "-c", program, file.name], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "watching\n"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.3)
    assert child.wait(10) == 1


def test_recipes_travel_as_json():
    for recipe in (*RECIPES.values(), RECIPE):
        assert recipe_of(json.loads(json.dumps(asdict(recipe)))) == recipe
    assert recipe_of("viclip-b16") == RECIPES["viclip-b16"]
    assert recipe_of({"name": "viclip-tiny", "seed": 7}) == replace(VICLIP_TINY, seed=7)
    with pytest.raises(ValueError, match="no recipe has the name 'viclip-none'; the recipes are viclip-l14"):
        recipe_of("viclip-none")
    with pytest.raises(ValueError, match="no recipe has the field sede"):
        recipe_of({"name": "viclip-tiny", "sede": 7})


def test_a_configuration_is_for_its_owner_alone_and_says_what_is_wrong_with_it(tmp_path: Path):
    path = tmp_path / "config.json"
    config = TrainingConfig({"root": "lake"}, SNAPSHOT, "clips.arrow", "viclip-tiny", str(tmp_path))
    config.write(path)
    assert (path.stat().st_mode & 0o777, TrainingConfig.read(path)) == (0o600, config)
    path.write_text('{"recipe": "viclip-tiny", "gpu": 1}')
    with pytest.raises(ValueError, match=r"config.json does not say how to train: .*'gpu'"):
        TrainingConfig.read(path)


def test_a_trainers_own_checkpoint_replaces_the_one_that_a_recipe_begins_with():
    b16 = RECIPES["viclip-b16"]
    assert Trainer(initialise_from="clip").as_trained(b16) == replace(b16, initialise_from="clip")
    assert Trainer(initialise_from="clip").as_trained(VICLIP_TINY) == VICLIP_TINY
    assert Trainer().as_trained(b16) == b16


if __name__ == "__main__":
    trained(Lake(root=sys.argv[1]), Path(sys.argv[2]), processes=2, workers=1, save_every_seconds=0.1)
