"""A trained generator of the lake: makes videos from text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from resources.incremental.faults import ModelUnavailable
from resources.lake.schema import GENERATION_CHECKPOINTS
from resources.models.machine import this_machine
from resources.training.checkpoint_rows import checkpoint_named

if TYPE_CHECKING:
    import numpy as np

    from internvid.generation.checkpoint import Generator
    from resources.lake.store import Lake


@dataclass(frozen=True)
class GeneratedVideo:
    """frames: [t, h, w, 3] uint8 RGB. mp4: the same as a file. sampling: sampler, its steps, and guidance."""

    frames: np.ndarray
    mp4: bytes
    frames_per_second: float
    sampling: str


class LoadedGenerator:
    """A checkpoint in memory."""

    def __init__(self, checkpoint_id: str, generator: Generator) -> None:
        self.checkpoint_id, self.generator = checkpoint_id, generator

    def sample(
        self, prompts: Sequence[str], seeds: Sequence[int], *, denoiser_calls: int, guidance: float
    ) -> list[GeneratedVideo]:
        """Returns a video of each prompt with its seed."""
        from internvid.generation.recipe import Sampling
        from internvid.generation.sampling import mp4_bytes, sampled

        how, rate = Sampling(denoiser_calls, guidance), self.generator.recipe.frames_per_second
        return [
            GeneratedVideo(frames, mp4_bytes(frames, rate), rate, how.version)
            for frames in sampled(self.generator, prompts, seeds, how)
        ]


class Generators(dg.ConfigurableResource):
    """Loads generators of the lake. device: as torch names it; auto: a GPU where there is one."""

    device: str = "auto"

    def loaded(self, lake: Lake, name: str | None = None) -> LoadedGenerator:
        """Loads a generator. name: an id of the table generation_checkpoints, or a checkpoint's folder; None: the
        newest of the lake.

        Raises ValueError for an unknown name, and ModelUnavailable where its files are gone or changed.
        """
        from internvid.generation.checkpoint import generator_digest, load_generator

        checkpoint_id, folder, digest = checkpoint_named(
            lake, GENERATION_CHECKPOINTS, name, what="generator", recipe="t2v-tiny"
        )
        try:
            if digest is not None and generator_digest(folder) != digest:
                raise ValueError(f"{folder} is not the checkpoint that was trained: its files have changed")
            return LoadedGenerator(checkpoint_id, load_generator(folder, this_machine().device_named(self.device)))
        except (OSError, ValueError) as error:
            raise ModelUnavailable(str(error)) from error
