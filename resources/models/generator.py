"""A trained generator of the lake: makes videos from text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from resources.incremental.faults import ModelUnavailable
from resources.models.machine import this_machine
from resources.training.checkpoint_files import local_folder

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

        if name is not None and Path(name).is_dir():
            checkpoint_id, folder, digest = name, Path(name), None
        else:
            row = _row(lake, name)
            checkpoint_id, digest = row["checkpoint_id"], row["weights_digest"]
            try:
                folder = local_folder(lake, row["path"])
            except FileNotFoundError as error:
                raise ModelUnavailable(str(error)) from error
        try:
            if digest is not None and generator_digest(folder) != digest:
                raise ValueError(f"{folder} is not the checkpoint that was trained: its files have changed")
            return LoadedGenerator(checkpoint_id, load_generator(folder, this_machine().device_named(self.device)))
        except (OSError, ValueError) as error:
            raise ModelUnavailable(str(error)) from error


def _row(lake: Lake, name: str | None) -> dict[str, Any]:
    rows = lake.query(
        "select checkpoint_id, path, weights_digest from generation_checkpoints "
        "where $name is null or checkpoint_id = $name order by written_at desc, checkpoint_id limit 1",
        {"name": name},
        tables=["generation_checkpoints"],
    ).to_pylist()
    if not rows and name is None:
        raise ValueError("this lake has no generator yet: `internvid train t2v-tiny` trains one")
    if not rows:
        raise ValueError(f"{name!r} is neither a generator of this lake (table generation_checkpoints) nor a folder")
    return rows[0]
