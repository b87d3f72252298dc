"""Recipes and clips that are small enough to train a generator on in seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from internvid.generation.recipe import GenerationRecipe, NewImageModel
from internvid.viclip.clips import InMemoryClip, InMemoryClips
from internvid.viclip.recipe import Phase

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220), "white": (250, 250, 250)}


def coloured_clips(clips: int = 8) -> InMemoryClips:
    """Returns clips of one colour all over, which get darker."""
    made = []
    for number in range(clips):
        name = list(COLOURS)[number % len(COLOURS)]
        light = np.linspace(1, 0.5, 4)[:, None, None, None]
        frames = (np.array(COLOURS[name])[None, None, None] * light * np.ones((4, 16, 16, 1))).astype(np.uint8)
        made.append(InMemoryClip(str(number), str(number), f"a {name} thing is there", frames))
    return InMemoryClips(made)


def phase(name: str, *, steps: int = 4, batch_size: int = 4, learning_rate: float = 2e-3) -> Phase:
    return Phase(
        name=name,
        mask_ratio=0.0,
        learning_rate=learning_rate,
        epochs=1,
        warmup_epochs=0.1,
        batch_size=batch_size,
        min_steps=steps,
    )


def small_recipe(**changes: object) -> GenerationRecipe:
    """A recipe with random weights, of 4 frames of 16 pixels."""
    recipe = GenerationRecipe(
        name="small",
        image_model=None,
        new_image_model=NewImageModel(
            patch=4,
            latent_channels=4,
            denoiser_widths=(16, 16),
            denoiser_layers=1,
            heads=2,
            text_width=16,
            text_layers=1,
            vocab_size=300,
            context=16,
            norm_groups=4,
        ),
        denoiser=phase("denoiser"),
        prediction="v_prediction",
        frames=4,
        image_size=16,
        ema_decay=0.9,
        precision="float32",
    )
    return replace(recipe, **changes)  # type: ignore[arg-type]


def with_image_model(folder: Path, **changes: object) -> GenerationRecipe:
    """A recipe that begins with a Stable-Diffusion folder."""
    return small_recipe(**{"image_model": str(folder), "new_image_model": None, "prediction": "epsilon"} | changes)
