"""Training a generator, with random weights and from a Stable-Diffusion folder; resuming; checkpoints; sampling."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from safetensors.torch import load_file
from small_generators import coloured_clips, phase, small_recipe, with_image_model
from tiny_image_models import tiny_stable_diffusion

from internvid.generation.autoencoder import PatchAutoencoder
from internvid.generation.checkpoint import generator_digest, load_generator, new_generator
from internvid.generation.kept_arrays import KeptArray
from internvid.generation.prepared_clips import TooManyUnreadable
from internvid.generation.recipe import GENERATION_RECIPES, GenerationRecipe, Sampling
from internvid.generation.sampling import mp4_bytes, sampled
from internvid.generation.shown import shown_videos
from internvid.generation.training import checkpoint_at, train_generator
from internvid.generation.unreadable import unreadable_clips
from internvid.viclip.clips import InMemoryClips
from internvid.video.probe import UnreadableVideo


class Killed(Exception):
    """Stands for a kill in the middle of training."""


def killed_and_resumed(recipe: GenerationRecipe, clips: InMemoryClips, folder: Path, step: int) -> Path:
    def kill(row: dict) -> None:
        if row["step"] == step:
            raise Killed

    with pytest.raises(Killed):
        train_generator(recipe, clips, folder=folder, log=kill, save_every_seconds=0.0)
    steps: list[int] = []
    result = train_generator(recipe, clips, folder=folder, log=lambda row: steps.append(row["step"]))
    assert steps[0] == step, "it goes on from its last saved state"
    lines = (folder / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(result.steps))
    return result.checkpoint


@pytest.fixture(scope="module")
def image_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_stable_diffusion(tmp_path_factory.mktemp("image_model") / "sd")


@pytest.mark.parametrize("prediction", ["v_prediction", "epsilon", "sample"])
def test_a_killed_training_ends_with_the_same_weights(prediction, tmp_path):
    recipe, clips = small_recipe(prediction=prediction), coloured_clips()
    whole = train_generator(recipe, clips, folder=tmp_path / "whole")
    resumed = killed_and_resumed(recipe, clips, tmp_path / "killed", 2)
    assert generator_digest(resumed) == generator_digest(whole.checkpoint)
    assert load_generator(resumed).scheduler.config.prediction_type == prediction


@pytest.mark.parametrize("trained", ["all", "added"])
def test_a_folder_is_trained_and_resumed_and_its_own_parts_stay(image_model, trained, tmp_path):
    recipe, clips = with_image_model(image_model, trained=trained), coloured_clips()
    whole = train_generator(recipe, clips, folder=tmp_path / "whole")
    resumed = killed_and_resumed(recipe, clips, tmp_path / "killed", 2)
    assert generator_digest(resumed) == generator_digest(whole.checkpoint)
    weights = load_file(whole.checkpoint / "model.safetensors")
    of_folder = load_file(image_model / "unet" / "diffusion_pytorch_model.safetensors")
    is_same = {
        name: torch.equal(weights[f"denoiser.{name}"], value)
        for name, value in of_folder.items()
        if f"denoiser.{name}" in weights
    }
    assert all(is_same.values()) == (trained == "added")
    of_vae = load_file(image_model / "vae" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(weights[f"autoencoder.network.{name}"], value) for name, value in of_vae.items())
    gates = [value for name, value in weights.items() if name.endswith("gate")]
    assert gates
    assert all(value != 0 for value in gates), "the gates were trained"
    receipt = json.loads((whole.checkpoint / "receipt.json").read_text())
    temporal = [v for n, v in weights.items() if ".temporal." in n and not n.endswith("position.pe")]
    added = temporal + gates + [v for n, v in weights.items() if n.startswith("denoiser.text_of_frames.")]
    assert receipt["added_parameters"] == sum(value.numel() for value in added)


def test_losses_fall_and_the_checkpoint_holds_the_average(tmp_path):
    recipe = small_recipe(denoiser=phase("denoiser", steps=60))
    losses: list[float] = []
    result = train_generator(recipe, coloured_clips(), folder=tmp_path, log=lambda row: losses.append(row["loss"]))
    assert np.mean(losses[-15:]) < 0.7 * np.mean(losses[:5])
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    saved = load_file(result.checkpoint / "model.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in state["average"].items())
    assert any(not torch.equal(saved[name], value) for name, value in state["weights"].items())


@pytest.mark.parametrize("begins_with", ["random weights", "image model"])
def test_a_shift_of_noise_divides_each_ratio_of_signal_and_is_kept_in_the_checkpoint(
    begins_with, image_model, tmp_path
):
    made = small_recipe if begins_with == "random weights" else partial(with_image_model, image_model)
    plain, shifted = (
        new_generator(made(noise_shift=shift), ["a red thing"]).scheduler.alphas_cumprod.double() for shift in (1, 4)
    )
    ratios = (plain / (1 - plain)) / (shifted / (1 - shifted))
    torch.testing.assert_close(ratios[:-1], torch.full_like(ratios[:-1], 16), rtol=1e-2, atol=0)
    recipe = made(noise_shift=4, denoiser=phase("denoiser", steps=1))
    loaded = load_generator(train_generator(recipe, coloured_clips(), folder=tmp_path).checkpoint)
    torch.testing.assert_close(loaded.scheduler.alphas_cumprod.double(), shifted)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_clips_is_seen_at_the_last_time_where_only_the_text_tells(share, tmp_path, monkeypatch):
    times: list[int] = []
    add_noise = DDPMScheduler.add_noise

    def noted(scheduler: DDPMScheduler, latents: torch.Tensor, noise: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        times.extend(at.tolist())
        return add_noise(scheduler, latents, noise, at)

    monkeypatch.setattr(DDPMScheduler, "add_noise", noted)
    recipe = small_recipe(last_time_share=share, denoiser=phase("denoiser", steps=20))
    train_generator(recipe, coloured_clips(), folder=tmp_path)
    last = np.array(times) == 999
    assert abs(last.mean() - share) < 0.15
    assert share == 1 or len(set(times)) > 20, "the others' times are drawn"


def test_a_checkpoint_on_the_way_holds_the_average_of_its_step(tmp_path):
    result = train_generator(small_recipe(), coloured_clips(), folder=tmp_path, checkpoints_at=(2, 4))
    assert result.steps == 4
    assert generator_digest(checkpoint_at(tmp_path, 4)) == generator_digest(result.checkpoint)
    assert generator_digest(checkpoint_at(tmp_path, 2)) != generator_digest(result.checkpoint)
    assert not checkpoint_at(tmp_path, 3).exists()


def test_the_latents_of_a_clip_are_kept_and_those_of_other_clips_are_made_again(tmp_path):
    recipe, notes = small_recipe(denoiser=phase("denoiser", steps=1)), []
    train_generator(recipe, coloured_clips(), folder=tmp_path, note=notes.append)
    first = (tmp_path / "latents.cache").read_bytes()
    train_generator(recipe, coloured_clips(), folder=tmp_path, note=notes.append)
    assert len(notes) == 1, "latents are encoded once"
    (tmp_path / "state.pt").unlink()
    train_generator(recipe, coloured_clips(6), folder=tmp_path, note=notes.append)
    assert len(notes) == 2
    assert (tmp_path / "latents.cache").read_bytes() != first


def test_a_kept_array_goes_on_where_it_was_cut_off(tmp_path):
    kept = KeptArray(tmp_path / "rows", clips=5, row_shape=(2,), dtype=np.float32, made_of="a")
    firsts: list[int] = []

    def rows(first: int) -> Iterator[np.ndarray]:
        firsts.append(first)
        for position in range(first, 5):
            if position == 3 and len(firsts) == 1:
                raise Killed
            yield np.array([position, -position], np.float32)

    with pytest.raises(Killed):
        kept.fill(rows, rows_per_save=2)
    assert kept.filled == 2
    kept.fill(rows, rows_per_save=2)
    assert firsts == [0, 2]
    assert kept.rows([4, 0]).tolist() == [[4, -4], [0, 0]]
    assert KeptArray(tmp_path / "rows", clips=5, row_shape=(2,), dtype=np.float32, made_of="b").filled == 0


class PartlyUnreadable(InMemoryClips):
    """Clips of which some have no frames: their files are broken."""

    def __init__(self, clips: InMemoryClips, unreadable: set[int]) -> None:
        super().__init__(clips.clips)
        self.unreadable = unreadable

    def frames(self, picks: Sequence[tuple[int, Sequence[int]]]) -> list[np.ndarray]:
        if self.unreadable & {clip for clip, _ in picks}:
            raise UnreadableVideo("moov atom not found")
        return super().frames(picks)


def test_clips_that_cannot_be_read_are_left_out_and_named(tmp_path):
    clips, recipe = coloured_clips(), small_recipe(denoiser=phase("denoiser", steps=6))
    broken = PartlyUnreadable(clips, {0, 5})
    whole = train_generator(recipe, broken, folder=tmp_path / "whole")
    assert (whole.clips, whole.unreadable) == (6, 2)
    listed = list(unreadable_clips(tmp_path / "whole" / "unreadable.jsonl"))
    assert [(clip.position, clip.clip_id, clip.error_class) for clip in listed] == [
        (0, "0", "UnreadableVideo"),
        (5, "5", "UnreadableVideo"),
    ]
    assert listed[0].message == "moov atom not found"
    resumed = killed_and_resumed(recipe, broken, tmp_path / "killed", 2)
    assert generator_digest(resumed) == generator_digest(whole.checkpoint)


def test_a_training_of_unreadable_clips_ends_with_a_reason_and_reads_them_again(tmp_path):
    recipe, clips = small_recipe(denoiser=phase("denoiser", steps=1)), coloured_clips()
    with pytest.raises(TooManyUnreadable, match=r"not one of 8 clips .* can be read: UnreadableVideo: moov"):
        train_generator(recipe, PartlyUnreadable(clips, set(range(8))), folder=tmp_path)
    assert train_generator(recipe, clips, folder=tmp_path).clips == 8
    many = coloured_clips(100)
    with pytest.raises(TooManyUnreadable, match=r"21 of 100 clips cannot be read .*\. 40: UnreadableVideo: moov"):
        train_generator(recipe, PartlyUnreadable(many, set(range(20, 100))), folder=tmp_path / "many")
    assert train_generator(recipe, many, folder=tmp_path / "many").clips == 100


def test_latents_stay_those_of_one_autoencoder_though_clips_have_gone_since(tmp_path):
    recipe, clips = small_recipe(), coloured_clips()
    whole = train_generator(recipe, clips, folder=tmp_path / "whole")

    def kill(row: dict) -> None:
        if row["step"] == 2:
            raise Killed

    with pytest.raises(Killed):
        train_generator(recipe, clips, folder=tmp_path / "killed", log=kill, save_every_seconds=0.0)
    resumed = train_generator(recipe, PartlyUnreadable(clips, {0, 1, 2}), folder=tmp_path / "killed")
    assert generator_digest(resumed.checkpoint) == generator_digest(whole.checkpoint)


def test_the_folder_of_another_training_is_refused(tmp_path):
    train_generator(small_recipe(denoiser=phase("denoiser", steps=1)), coloured_clips(), folder=tmp_path)
    with pytest.raises(ValueError, match="the training of other recipe"):
        train_generator(small_recipe(seed=1), coloured_clips(), folder=tmp_path)
    with pytest.raises(ValueError, match="there are no clips"):
        train_generator(small_recipe(), coloured_clips(0), folder=tmp_path / "empty")


def test_what_is_not_finite_ends_the_training_and_names_its_clips(tmp_path):
    recipe = small_recipe(denoiser=phase("denoiser", learning_rate=math.inf))
    with pytest.raises(FloatingPointError, match=r"step 1: .*clips: \d"):
        train_generator(recipe, coloured_clips(), folder=tmp_path)
    assert not (tmp_path / "checkpoint").exists()
    assert json.loads((tmp_path / "not_finite.json").read_text())["step"] == 1


def test_a_checkpoint_that_was_cut_short_is_refused(tmp_path):
    recipe = small_recipe(denoiser=phase("denoiser", steps=1))
    folder = train_generator(recipe, coloured_clips(), folder=tmp_path).checkpoint
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"seed": 42', '"seed": 43'))
    with pytest.raises(ValueError, match="of two checkpoints"):
        load_generator(folder)
    config.unlink()
    with pytest.raises(FileNotFoundError, match="no checkpoint of a generator"):
        load_generator(folder)


@pytest.fixture(scope="module", params=["random weights", "image model"])
def checkpoint(request: pytest.FixtureRequest, image_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = small_recipe() if request.param == "random weights" else with_image_model(image_model)
    return train_generator(recipe, coloured_clips(), folder=tmp_path_factory.mktemp("training")).checkpoint


def test_a_video_depends_on_its_prompt_and_its_seed_alone(checkpoint):
    generator, how = load_generator(checkpoint), Sampling(denoiser_calls=3, guidance=3.0)
    together = sampled(generator, ["a red thing", "a blue thing"], [5, 6], how)
    assert together.shape == (2, 4, 16, 16, 3)
    (alone,) = sampled(generator, ["a blue thing"], [6], how)
    assert np.abs(alone.astype(int) - together[1]).max() <= 1, "but for rounding"
    (other_seed,) = sampled(generator, ["a blue thing"], [7], how)
    (other_prompt,) = sampled(generator, ["a red thing"], [6], how)
    assert (other_seed != alone).any()
    assert (other_prompt != alone).any()
    with pytest.raises(ValueError, match="1 prompts and 2 seeds"):
        sampled(generator, ["a red thing"], [1, 2], how)


def test_a_video_is_a_file_and_a_moving_picture():
    frames = np.stack([np.full((32, 32, 3), light, np.uint8) for light in (0, 80, 160, 240)])
    mp4 = mp4_bytes(frames, 8.0)
    with av.open(BytesIO(mp4)) as container:
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        assert container.streams.video[0].average_rate == 8
    assert np.abs(decoded.astype(int) - frames).max() < 8
    shown = shown_videos([mp4] * 2, ["*red*", "<b>"])
    assert shown.count("data:image/gif;base64,") == 2
    assert "<b>" not in shown


def test_the_linear_autoencoder_keeps_what_its_components_hold():
    torch.manual_seed(0)
    flat = torch.rand(6, 3, 1, 1).expand(6, 3, 16, 16) * 2 - 1  # of patches, three numbers
    autoencoder = PatchAutoencoder(patch=4, channels=3)
    autoencoder.fit([flat[:3], flat[3:]])
    latents = autoencoder.latents(flat)
    assert latents.shape == (6, 3, 4, 4)
    assert latents.square().mean() == pytest.approx(1, rel=1e-3)
    assert (autoencoder.pixels(latents) - flat).abs().max() < 1e-5


@pytest.mark.parametrize("recipe", GENERATION_RECIPES.values(), ids=GENERATION_RECIPES)
def test_a_recipe_survives_json(recipe):
    assert GenerationRecipe.from_dict(json.loads(json.dumps(asdict(recipe)))) == recipe
    assert replace(recipe, seed=1).version != recipe.version
