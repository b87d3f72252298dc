"""Fine-tuning in the trainer's own process: killed and resumed. And frames of a benchmark, decoded once."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from internvid.evaluation.benchmarks import Benchmark, read_benchmark
from internvid.viclip.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.fine_tuning_recipe import FINE_TUNINGS
from internvid.viclip.heads import load_heads
from internvid.viclip.model import ViCLIP
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.tokenizer import Tokenizer
from resources.training.benchmark_clips import BenchmarkClips, keep_frames
from resources.training.worker import TrainingConfig, TuningData

SENTENCES = ["a circle moves to the right", "a blue circle, moving", "noise everywhere", "a pink disc"]
RECIPE = replace(
    FINE_TUNINGS["msrvtt"],
    epochs=60,
    batch_size=4,
    frames=4,
    max_tokens=12,
    learning_rate=1e-3,
    match_width=16,
)


@pytest.fixture(scope="module")
def msrvtt(tmp_path_factory: pytest.TempPathFactory, synthetic_video) -> Benchmark:
    """The train split: four videos, the last two with two captions, one that is none, and one that is missing."""
    folder = tmp_path_factory.mktemp("msrvtt")
    for number in range(4):
        synthetic_video(folder, f"video{number}.mp4", number)
    (folder / "video4.mp4").write_text("an error page")
    rows = [{"video": f"video{n}.mp4", "caption": SENTENCES[n : n + 1] * (1 + n // 2)} for n in range(4)]
    rows += [{"video": f"video{n}.mp4", "caption": "nothing"} for n in (4, 5)]
    (folder / "msrvtt_ret_train9k.json").write_text(json.dumps(rows))
    return read_benchmark("msrvtt", folder, split="train")


@pytest.fixture(scope="module")
def frames(msrvtt: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = keep_frames(msrvtt, tmp_path_factory.mktemp("frames"), frames=8, short_side=40, workers=1)
    assert (kept.videos, [video for video, _ in kept.failed]) == (4, ["video4.mp4"])
    return kept.folder


def test_kept_frames_are_clips_one_for_each_caption_and_are_decoded_once(msrvtt, frames, tmp_path):
    clips = BenchmarkClips(frames)
    assert clips.captions(range(len(clips))) == [*SENTENCES[:2], *SENTENCES[2:3] * 2, *SENTENCES[3:] * 2]
    assert clips.video_numbers.tolist() == [0, 1, 2, 2, 3, 3]
    assert clips.frame_counts.tolist() == [8] * 6
    first, repeated = clips.frames([(2, [0, 0, 7]), (3, [7])])
    assert first.shape[0] == 3
    assert min(first.shape[1:3]) == 40
    assert np.array_equal(first[0], first[1])
    assert np.array_equal(first[2], repeated[0])
    # Whole files are not decoded again, even where the videos are gone.
    gone = replace(msrvtt, items=tuple(replace(item, path=tmp_path / "gone.mp4") for item in msrvtt.items))
    assert keep_frames(gone, frames, frames=8, short_side=40, workers=1).videos == 4


def worker(folder: Path, base: Path, frames: Path) -> subprocess.Popen:
    config = TrainingConfig(
        lake={"root": str(folder)},
        snapshot="",
        index="",
        recipe=asdict(RECIPE),
        folder=str(folder),
        device="cpu",
        threads=1,
        save_every_seconds=0.0,
        fine_tuning=asdict(TuningData(str(frames), str(base), [])),
    )
    folder.mkdir(exist_ok=True)
    config.write(folder / "config.json")
    return subprocess.Popen([sys.executable, "-m", "resources.training.worker", str(folder / "config.json")])


@pytest.mark.slow
def test_a_killed_fine_tuning_ends_in_the_weights_of_an_unbroken_one(frames, tmp_path):
    torch.manual_seed(0)
    config = ViCLIPConfig(32, 16, 32, 2, 2, 32, 1, 2, 16, vocab_size=600, context_length=8)
    tokenizer = Tokenizer.trained_on(SENTENCES, vocab_size=600, context_length=8)
    base = save_checkpoint(tmp_path / "base", Checkpoint(ViCLIP(config), tokenizer, Preprocessing(image_size=32)))
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    assert worker(unbroken, base, frames).wait() == 0

    process = worker(killed, base, frames)
    log = killed / "log.jsonl"
    while not log.exists() or len(log.read_text().splitlines()) < 10:
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "checkpoint").exists()
    assert worker(killed, base, frames).wait() == 0

    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == list(range(60))
    models = [load_checkpoint(folder / "checkpoint").model for folder in (unbroken, killed)]
    heads = [load_heads(folder / "checkpoint", models[0].config).match_head for folder in (unbroken, killed)]
    for left, right in (models, heads):
        other = right.state_dict()
        assert all(torch.equal(value, other[name]) for name, value in left.state_dict().items())
    began = load_checkpoint(base).model.state_dict()
    moved = models[0].state_dict()
    name = "vision_encoder.transformer.resblocks.0.mlp.c_fc.weight"
    assert not torch.equal(began[name], moved[name])
