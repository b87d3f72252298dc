"""What a training step of a generator takes by reckoning, against real networks and Stable Diffusion's known sizes."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load_file
from small_generators import coloured_clips, phase, small_recipe, with_image_model
from tiny_image_models import tiny_stable_diffusion
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from internvid.generation.checkpoint import load_generator
from internvid.generation.model import listed_parameters
from internvid.generation.recipe import T2V_SD
from internvid.generation.reckoning import _blocks, _Kept, _networks, reckoned_training
from internvid.generation.training import train_generator


@pytest.mark.parametrize("kind", ["random weights", "image model"])
def test_weights_and_arithmetic_are_those_of_a_trained_generator(kind, tmp_path):
    recipe = small_recipe(denoiser=phase("denoiser", steps=1))
    if kind == "image model":
        recipe = with_image_model(tiny_stable_diffusion(tmp_path / "sd"), denoiser=phase("denoiser", steps=1))
    folder = train_generator(recipe, coloured_clips(), folder=tmp_path / "training").checkpoint
    generator = load_generator(folder)
    vocabulary = generator.text_tower.config.vocab_size
    step = reckoned_training(recipe, is_on_gpu=False, vocabulary=vocabulary)
    real = {name: sum(p.numel() for p in part.parameters()) for name, part in generator.parts.items()}
    assert list(step.parameters.values()) == list(real.values())
    average = torch.load(tmp_path / "training" / "state.pt", weights_only=True)["average"]
    assert step.trained == sum(value.numel() for value in average.values())
    assert step.average_bytes == sum(value.nbytes for value in average.values())
    stored = load_file(folder / "model.safetensors")
    assert step.weights_bytes == pytest.approx(sum(value.nbytes for value in stored.values()), rel=0.02)

    latents = torch.zeros(1, *generator.latent_shape)
    unet, tower = generator.denoiser.unet.train(), generator.text_tower.train()
    tower.requires_grad_(kind == "random weights")
    parameters = [*unet.parameters(), *tower.parameters()]
    with (
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
        _Kept(parameters, _blocks(unet)) as kept,
    ):
        text = generator.texts(["a red thing"])
        generator.denoiser(latents, torch.zeros(1, dtype=torch.int64), text).square().mean().backward()
    assert step.flops == pytest.approx(counter.get_total_flops(), rel=0.03)
    assert step.kept_bytes == pytest.approx(kept.total, rel=0.05)
    with FlopCounterMode(display=False) as counter:
        generator.encoded(torch.zeros(recipe.frames, 3, 16, 16, dtype=torch.uint8))
    assert step.encoding_flops == pytest.approx(counter.get_total_flops(), rel=0.03)


@pytest.mark.slow
def test_without_an_image_model_the_sizes_are_those_of_stable_diffusion_1():
    step = reckoned_training(T2V_SD)
    assert step.parameters["autoencoder"] == 83_653_863
    assert step.parameters["text tower"] == 123_060_480
    of_image_model = [
        math.prod(listed.shape)
        for listed in listed_parameters(_networks(T2V_SD, None).denoiser)
        if listed.image_name is not None
    ]
    assert sum(of_image_model) == 859_520_964
    assert step.parameters["denoiser"] > sum(of_image_model)
    assert step.trained == step.parameters["denoiser"], "the text tower of an image model stays as it is"
    assert 0 < step.recomputed_bytes < step.kept_bytes
    assert step.fitting_videos(step.memory_bytes(3)) == 3
    assert step.fitting_videos(step.fixed_bytes) == 0
