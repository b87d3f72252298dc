"""Training on a few small clips: what a ViCLIP of a few thousand parameters learns, and that it is always the same."""

import itertools
import json
import math
import multiprocessing
import os
import random
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from internvid.viclip.checkpoint import load_checkpoint
from internvid.viclip.clips import InMemoryClip, InMemoryClips
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.memory import MemoryPlan
from internvid.viclip.recipe import Phase, Recipe
from internvid.viclip.tokenizer import Tokenizer
from internvid.viclip.training import train
from internvid.viclip.weights import from_clip

MODEL = ViCLIPConfig(
    image_size=32,
    patch_size=16,
    vision_width=32,
    vision_layers=2,
    vision_heads=2,
    text_width=32,
    text_layers=2,
    text_heads=2,
    embed_dim=32,
    vocab_size=600,
    context_length=16,
    frames=4,
)
# With all sources of randomness: frames, crops, mirrors, masks, drop path. A batch of 7 is uneven for two ranks.
RECIPE = Recipe(
    name="test",
    model=MODEL,
    phases=(
        Phase("masked", mask_ratio=0.5, learning_rate=3e-4, epochs=6, warmup_epochs=1, batch_size=6),
        Phase("unmasked", mask_ratio=0.0, learning_rate=1e-4, epochs=2, warmup_epochs=0.5, batch_size=7),
    ),
    initialise_from=None,
    freeze_text=False,
    wise_ft=None,
    frames=4,
    drop_path=0.2,
    initial_temperature=0.07,
    same_video="masked",
    precision="float32",
)
STEPS = 6 * 3 + 2 * 3
OF_THE_RUN = ("phase", "samples_per_second", "waiting_share", "peak_share", "memory_bytes")  # and not of the training
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "white": (240, 240, 240)}
SIDES = ("left", "right", "top", "bottom", "middle", "whole")


def clips(count: int = 22, *, seed: int = 0) -> InMemoryClips:
    """Coloured patches in noise: 24 combinations of colour and place, two clips per video, 3 to 9 frames each."""
    rng = np.random.default_rng(seed)
    in_memory = []
    for number in range(count):
        colour, side = list(COLOURS)[number % 4], SIDES[number // 4 % 6]
        frames = rng.integers(0, 60, (rng.integers(3, 10), 40, 48, 3), np.uint8)
        rows, columns = {
            "left": (slice(0, 40), slice(0, 20)),
            "right": (slice(0, 40), slice(28, 48)),
            "top": (slice(0, 16), slice(0, 48)),
            "bottom": (slice(24, 40), slice(0, 48)),
            "middle": (slice(12, 28), slice(14, 34)),
            "whole": (slice(0, 40), slice(0, 48)),
        }[side]
        frames[:, rows, columns] = COLOURS[colour]
        in_memory.append(InMemoryClip(f"clip-{number}", f"video-{number // 2}", f"A {colour} patch, {side}.", frames))
    return InMemoryClips(in_memory)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "state.pt", weights_only=True)["model"]


def read_log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def farthest(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    assert left.keys() == right.keys()
    return max((left[name] - right[name]).abs().max().item() for name in left)


class Stopped(Exception):
    pass


def stopping_after(step: int) -> Callable[[dict], None]:
    def log(row: dict) -> None:
        if row["step"] == step:
            raise Stopped

    return log


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    train(RECIPE, clips(), folder=folder)
    return folder


@pytest.fixture
def started():
    """started(rank, ranks, port, folder): a real process that trains, saving after each step; killed at the end."""
    processes = []

    def start(rank: int, ranks: int, port: int, folder: Path, seconds_per_step: float = 0.0):
        process = multiprocessing.get_context("spawn").Process(
            target=_train_in_process, args=(rank, ranks, port, folder, seconds_per_step)
        )
        process.start()
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.join()


def _train_in_process(rank: int, ranks: int, port: int, folder: Path, seconds_per_step: float) -> None:
    if ranks > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        torch.distributed.init_process_group("gloo", rank=rank, world_size=ranks)
    train(RECIPE, clips(), folder=folder, save_every_seconds=0, log=lambda row: time.sleep(seconds_per_step))
    if ranks > 1:
        torch.distributed.destroy_process_group()


def two_ranks(started, folder: Path, *, seconds_per_step: float = 0.0) -> list:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [started(rank, 2, port, folder, seconds_per_step) for rank in range(2)]


def ended_well(processes: list) -> bool:
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes] == [0] * len(processes)


def killed_within(processes: list, folder: Path, until: Callable) -> int:
    """Kills them at a random step, and returns how many steps were saved."""
    logged_steps = random.randint(2, STEPS - 6)
    log = folder / "log.jsonl"
    until(lambda: log.exists() and len(log.read_text().splitlines()) >= logged_steps)
    for process in processes:
        process.kill()
        process.join()
    saved = torch.load(folder / "state.pt", weights_only=True)["step"]
    assert logged_steps - 1 <= saved < STEPS  # or nothing was broken off
    return saved


@pytest.mark.slow
def test_killed_at_a_random_step_and_resumed_it_ends_in_the_very_weights_of_an_unbroken_run(
    tmp_path, unbroken, started, until
):
    saved = killed_within([started(0, 1, 0, tmp_path, 0.02)], tmp_path, until)
    rows = []
    result = train(RECIPE, clips(), folder=tmp_path, log=rows.append)
    assert [row["step"] for row in rows] == list(range(saved, STEPS))
    assert farthest(weights(tmp_path), weights(unbroken)) == 0
    assert [row["step"] for row in read_log(tmp_path)] == list(range(STEPS))
    assert [row["loss"] for row in read_log(tmp_path)] == [row["loss"] for row in read_log(unbroken)]
    assert (result.steps, result.samples) == (STEPS, 18 * 6 + 6 * 7)


@pytest.mark.slow
def test_two_ranks_with_half_of_each_batch_killed_and_resumed_equal_one_unbroken_with_the_whole(
    tmp_path, unbroken, started, until
):
    killed_within(two_ranks(started, tmp_path, seconds_per_step=0.02), tmp_path, until)
    assert ended_well(two_ranks(started, tmp_path))
    assert farthest(weights(tmp_path), weights(unbroken)) < 1e-6
    for row, expected in zip(read_log(tmp_path), read_log(unbroken), strict=True):
        names = [name for name in expected if name not in OF_THE_RUN]
        assert {name: row[name] for name in names} == pytest.approx(
            {name: expected[name] for name in names}, rel=1e-5, abs=1e-5
        )


@pytest.mark.slow
def test_begun_by_one_rank_and_ended_by_two_it_is_the_same_training(tmp_path, unbroken, started):
    with pytest.raises(Stopped):
        train(RECIPE, clips(), folder=tmp_path, save_every_seconds=0, log=stopping_after(7))
    assert ended_well(two_ranks(started, tmp_path))
    assert farthest(weights(tmp_path), weights(unbroken)) < 1e-6


@pytest.mark.parametrize("step", [0, 16, 17, 18, STEPS - 1])
def test_stopped_at_the_edge_of_a_phase_and_resumed_it_ends_in_the_very_weights(tmp_path, unbroken, step):
    with pytest.raises(Stopped):
        train(RECIPE, clips(), folder=tmp_path, save_every_seconds=0, log=stopping_after(step))
    train(RECIPE, clips(), folder=tmp_path)
    assert farthest(weights(tmp_path), weights(unbroken)) == 0


@pytest.mark.slow
def test_worker_processes_change_nothing(tmp_path, unbroken):
    train(RECIPE, clips(), folder=tmp_path, workers=2)
    assert farthest(weights(tmp_path), weights(unbroken)) == 0


@pytest.mark.parametrize(
    "memory",
    [MemoryPlan(slices=3), MemoryPlan(slices=100), MemoryPlan(recompute="mlp"), MemoryPlan(2, "blocks")],
    ids=str,
)
def test_what_saves_memory_does_not_change_the_training(tmp_path, unbroken, memory):
    train(RECIPE, clips(), folder=tmp_path, memory=memory)
    assert farthest(weights(tmp_path), weights(unbroken)) < 1e-6


def test_every_step_is_logged_with_what_one_wants_to_see_of_it(unbroken):
    rows = read_log(unbroken)
    assert [row["phase"] for row in rows] == ["masked"] * 18 + ["unmasked"] * 6
    for row in rows:
        assert set(row) == {
            "step", "phase", "loss", "learning_rate", "samples_per_second", "accuracy", "temperature",
            "gradient_norm", "waiting_share", "peak_share", "memory_bytes",
        }  # fmt: skip
        assert row["samples_per_second"] > 0
        assert 0 < row["waiting_share"] <= 1
        assert row["peak_share"] is None  # no GPU
        assert row["memory_bytes"] > 50 << 20
        assert 0 <= row["accuracy"] <= 1
    assert rows[0]["learning_rate"] == pytest.approx(3e-6)
    assert rows[3]["learning_rate"] == pytest.approx(3e-4)  # after an epoch of warm-up
    assert rows[0]["temperature"] == pytest.approx(0.07, abs=1e-4)
    assert abs(rows[-1]["temperature"] - 0.07) > 5e-4


def test_the_share_of_time_that_is_waited_counts_slow_data_and_is_in_the_result_and_the_receipt(tmp_path):
    class Slow(InMemoryClips):
        def frames(self, picks):
            time.sleep(0.2)
            return super().frames(picks)

    recipe = replace(RECIPE, phases=(replace(RECIPE.phases[0], epochs=1),))
    result = train(recipe, Slow(clips().clips), folder=tmp_path / "slow", save_every_seconds=60)
    steps = read_log(tmp_path / "slow")
    assert result.waiting_share * result.seconds > 0.19 * len(steps)  # at least what each batch slept
    batch_size = recipe.phases[0].batch_size
    for row in steps[:-1]:  # in each, the next batch is waited for
        assert row["waiting_share"] * batch_size / row["samples_per_second"] > 0.19
    assert load_checkpoint(result.checkpoint).receipt["waiting_share"] == result.waiting_share


def test_it_learns_what_can_be_learnt(tmp_path):
    phases = (
        Phase("masked", 0.25, learning_rate=2e-3, epochs=40, warmup_epochs=2, batch_size=24),
        Phase("unmasked", 0.0, learning_rate=5e-4, epochs=10, warmup_epochs=0, batch_size=24),
    )
    recipe = replace(RECIPE, phases=phases, drop_path=0.0, horizontal_flip=False, crop_scale=(0.9, 1.0))
    train(recipe, clips(48), folder=tmp_path)
    rows = read_log(tmp_path)
    first, last = rows[:5], rows[-5:]
    assert np.mean([row["accuracy"] for row in first]) < 0.2
    assert np.mean([row["accuracy"] for row in last]) > 0.6
    assert np.mean([row["loss"] for row in last]) < 0.5 * np.mean([row["loss"] for row in first])


def test_the_checkpoint_is_the_trained_model_with_a_receipt(tmp_path):
    result = train(RECIPE, clips(), folder=tmp_path, keep_seen=True, receipt={"subset": "flt", "snapshot": 7})
    loaded = load_checkpoint(result.checkpoint)
    assert farthest(loaded.model.state_dict(), weights(tmp_path)) == 0
    receipt = loaded.receipt
    assert (receipt["recipe"], receipt["steps"], receipt["samples"]) == (RECIPE.version, STEPS, 150)
    assert (receipt["loss"], receipt["accuracy"]) == (result.loss, result.accuracy)
    assert (receipt["subset"], receipt["snapshot"], receipt["torch"]) == ("flt", 7, torch.__version__)
    assert [phase["left_out_per_epoch"] for phase in receipt["phases"]] == [4, 1]

    times_seen = pl.read_parquet(result.seen)
    assert times_seen["clip_id"].to_list() == [f"clip-{number}" for number in range(22)]
    assert times_seen["times"].sum() == 150
    assert (times_seen["times"] == 0).sum() == result.clips_never_seen == receipt["clips_never_seen"]


def test_a_finished_training_is_not_repeated_and_tells_the_same(tmp_path):
    first = train(RECIPE, clips(), folder=tmp_path)
    before = (tmp_path / "state.pt").stat().st_mtime_ns
    rows = []
    assert train(RECIPE, clips(), folder=tmp_path, log=rows.append) == first
    assert rows == []
    assert (tmp_path / "state.pt").stat().st_mtime_ns == before
    assert len(read_log(tmp_path)) == STEPS


def test_a_folder_of_another_recipe_or_of_other_clips_is_refused_and_left_alone(tmp_path):
    short = replace(RECIPE, phases=(replace(RECIPE.phases[0], epochs=1),))
    train(short, clips(), folder=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(ValueError, match="training of other recipe"):
        train(replace(short, seed=1), clips(), folder=tmp_path)
    with pytest.raises(ValueError, match="training of other clips"):
        train(short, clips(21), folder=tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_a_loss_that_is_no_number_stops_it_with_the_step_and_the_clips_and_keeps_the_state_before(tmp_path):
    poisoned = clips()
    poisoned.clips[5] = replace(poisoned.clips[5], caption="poison")
    captions = [clip.caption.lower() for clip in [*poisoned.clips, *poisoned.clips]]
    tokenizer = Tokenizer.trained_on(captions, vocab_size=600, context_length=16)
    (word,) = set(tokenizer(["poison"])[0].tolist()) - set(tokenizer(["a red patch left"])[0].tolist())
    start = train(replace(RECIPE, phases=(Phase("none", 0.0, 0.0, 0, 0, 6),)), poisoned, folder=tmp_path / "start")
    initial = load_checkpoint(start.checkpoint).model.state_dict()
    initial["text_encoder.token_embedding.weight"][word] = float("nan")

    rows = []
    with pytest.raises(FloatingPointError) as raised:
        train(
            RECIPE,
            poisoned,
            folder=tmp_path / "run",
            tokenizer=tokenizer,
            initial_weights=initial,
            save_every_seconds=0,
            log=rows.append,
        )
    report = json.loads((tmp_path / "run" / "not_finite.json").read_text())
    assert report["step"] == len(rows)
    assert "clip-5" in report["clip_ids"]
    assert len(report["clip_ids"]) == 6
    assert f"step {len(rows)} (masked): the loss is nan; its clips: {', '.join(report['clip_ids'])}" in str(
        raised.value
    )
    if rows:
        state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
        assert state["step"] == len(rows)


def test_a_frozen_text_tower_stays_as_it_was_and_is_in_the_checkpoint(tmp_path, unbroken):
    recipe = replace(RECIPE, freeze_text=True)
    result = train(recipe, clips(), folder=tmp_path, initial_weights=weights(unbroken), memory=MemoryPlan(slices=2))
    trained = load_checkpoint(result.checkpoint).model.state_dict()
    for name, before in weights(unbroken).items():
        assert torch.equal(trained[name], before) == name.startswith("text_encoder."), name


def test_with_wise_ft_the_checkpoint_is_the_average_with_the_initial_weights(tmp_path, unbroken):
    time_embedding = "vision_encoder.temporal_positional_embedding"
    initial = weights(unbroken)
    initial[time_embedding] = torch.zeros_like(initial[time_embedding])  # as after CLIP, which has none
    result = train(replace(RECIPE, wise_ft=0.25), clips(), folder=tmp_path, initial_weights=initial)
    averaged, trained = load_checkpoint(result.checkpoint).model.state_dict(), weights(tmp_path)
    for name in initial:
        share = 1.0 if name == time_embedding else 0.25
        torch.testing.assert_close(averaged[name], share * trained[name] + (1 - share) * initial[name])
    assert not torch.equal(trained["vision_encoder.proj"], initial["vision_encoder.proj"])


@pytest.mark.parametrize(
    ("same_video", "batch_size", "alternatives", "crowded"),
    [("negatives", 22, 22, 11), ("masked", 22, 21, 11), ("apart", 11, 11, 0), ("apart", 22, 21, 11)],
)
def test_kept_apart_clips_of_one_video_are_no_negatives_even_where_they_have_to_share_a_batch(
    tmp_path, same_video, batch_size, alternatives, crowded
):
    # At this temperature all similarities are about equal: the loss shows how many texts a video is compared with.
    phase = Phase("p", 0.0, 1e-6, epochs=0.01, warmup_epochs=0, batch_size=batch_size)
    recipe = replace(RECIPE, same_video=same_video, phases=(phase,), initial_temperature=100.0)
    result = train(recipe, clips(), folder=tmp_path)
    assert result.steps == 1
    assert result.loss == pytest.approx(math.log(alternatives), abs=0.01)
    assert load_checkpoint(result.checkpoint).receipt["phases"][0]["crowded_per_epoch"] == crowded


def test_bfloat16_trains_float32_weights(tmp_path, unbroken):
    result = train(replace(RECIPE, precision="bfloat16"), clips(), folder=tmp_path, memory=MemoryPlan(slices=2))
    rounded, exact = read_log(tmp_path), read_log(unbroken)
    assert rounded[0]["loss"] != exact[0]["loss"]
    assert rounded[0]["loss"] == pytest.approx(exact[0]["loss"], rel=0.02)
    assert np.isfinite(result.loss)
    assert {tensor.dtype for tensor in weights(tmp_path).values()} == {torch.float32}


def test_one_clip_and_a_tokenizer_that_is_not_for_the_model_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="clips are too few"):
        train(RECIPE, clips(1), folder=tmp_path)
    captions = ["".join(letters) for letters in itertools.product("abcdef", repeat=4)] * 2
    for vocab_size, context_length in ((1000, 16), (514, 32)):
        tokenizer = Tokenizer.trained_on(captions, vocab_size=vocab_size, context_length=context_length)
        with pytest.raises(ValueError, match="model embeds 600 and reads 16"):
            train(RECIPE, clips(), folder=tmp_path, tokenizer=tokenizer)
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_that_begins_with_a_clip_takes_weights_and_tokenizer_from_it_and_averages_with_it(tmp_path):
    from transformers import CLIPConfig, CLIPModel  # slow, and the processes started here import this file too

    tokenizer = Tokenizer.trained_on([clip.caption.lower() for clip in clips().clips], vocab_size=600)
    tower = {"hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    end = tokenizer.vocab_size - 1
    torch.manual_seed(0)
    CLIPModel(
        CLIPConfig(
            vision_config={**tower, "image_size": 32, "patch_size": 16},
            text_config={**tower, "vocab_size": end + 1, "bos_token_id": end - 1, "eos_token_id": end},
            projection_dim=32,
        )
    ).save_pretrained(tmp_path / "clip")
    tokenizer.save(tmp_path / "clip")
    _, initial = from_clip(tmp_path / "clip")

    recipe = replace(
        RECIPE,
        model=replace(MODEL, vocab_size=end + 1, context_length=32, frames=8),
        initialise_from=str(tmp_path / "clip"),
        initial_temperature=0.02,
        freeze_text=True,
        wise_ft=0.5,
    )
    rows = []
    loaded = load_checkpoint(train(recipe, clips(), folder=tmp_path / "run", log=rows.append).checkpoint)
    assert rows[0]["temperature"] == pytest.approx(0.02, abs=1e-4)
    assert torch.equal(loaded.tokenizer(["a red patch"]), tokenizer(["a red patch"]))
    trained, averaged = weights(tmp_path / "run"), loaded.model.state_dict()
    for name in ("vision_encoder.proj", "text_encoder.text_projection"):
        torch.testing.assert_close(averaged[name], (trained[name] + initial[name]) / 2)
    assert not torch.equal(trained["vision_encoder.proj"], initial["vision_encoder.proj"])
