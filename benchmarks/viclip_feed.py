"""What `viclip_speed.py --only feed` loads: clips of JPEG frames in memory, and the former way to load them.

That sent float32 with all patches in parts of 16, and joined them in the training process. It lives here only. Loading
processes are started by spawn and import this module, so it holds nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from internvid.data import generators_of_row
from internvid.viclip.frame_choice import random_frames
from internvid.viclip.model import random_keep
from internvid.viclip.preprocessing import Preprocessing, random_crop
from internvid.viclip.recipe import Recipe
from internvid.viclip.sampling import Plan
from internvid.viclip.tokenizer import Tokenizer, prepare_text
from resources.training.lake_clips import decoded

PART = 16  # rows that a worker sent at a time


class JpegClips:
    """Clips of JPEG frames in memory: as from a lake whose pages are cached."""

    def __init__(self, clips: int, *, height: int, width: int, frames: int = 12, pictures: int = 48) -> None:
        cv2.setNumThreads(1)
        rng = np.random.default_rng(0)
        self.jpegs = []
        for _ in range(pictures):
            coarse = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
            picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
            self.jpegs.append(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].ravel())
        self.frame_counts = np.full(clips, frames, np.int32)
        self.video_numbers = np.arange(clips)

    def __len__(self) -> int:
        return len(self.frame_counts)

    def clip_ids(self, positions: Sequence[int]) -> list[str]:
        return [str(position) for position in positions]

    def captions(self, positions: Sequence[int]) -> list[str]:
        return [f"a person in a red coat walks past shop number {position}" for position in positions]

    def frames(self, picks: Sequence[tuple[int, Sequence[int]]]) -> list[np.ndarray]:
        return [decoded([self.jpegs[(clip + at) % len(self.jpegs)] for at in chosen], 1) for clip, chosen in picks]


class FormerSamples(Dataset):
    """Parts of 16 samples, each with all its patches in float32. The index is (step, first row, positions)."""

    def __init__(self, clips: JpegClips, recipe: Recipe, tokenizer: Tokenizer) -> None:
        self.clips, self.recipe, self.tokenizer = clips, recipe, tokenizer
        self.preprocessing = Preprocessing.from_recipe(recipe)

    def __getitem__(self, part: tuple[int, int, np.ndarray]) -> dict[str, Tensor]:
        step, first_row, positions = part
        recipe = self.recipe
        generators = [generators_of_row(recipe.seed, step, first_row + row) for row in range(len(positions))]
        picks = [
            (int(clip), random_frames(int(self.clips.frame_counts[clip]), recipe.frames, rng))
            for clip, (rng, _) in zip(positions, generators, strict=True)
        ]
        frames = self.clips.frames(picks)
        videos = [self._augmented(video, generator) for video, (_, generator) in zip(frames, generators, strict=True)]
        chances = [torch.rand(2 * recipe.model.vision_layers, generator=generator) for _, generator in generators]
        sample = {
            "video": torch.stack(videos),
            "token_ids": self.tokenizer([prepare_text(caption) for caption in self.clips.captions(positions.tolist())]),
            "path_chances": torch.stack(chances),
        }
        mask_ratio = recipe.phases[0].mask_ratio
        if mask_ratio:
            drawn = [
                random_keep(recipe.model, batch=1, frames=recipe.frames, mask_ratio=mask_ratio, generator=generator)
                for _, generator in generators
            ]
            sample["keep"] = torch.cat(drawn)
        return sample

    def _augmented(self, video: np.ndarray, generator: torch.Generator) -> Tensor:
        frames = torch.from_numpy(video).permute(0, 3, 1, 2)
        top, left, height, width = random_crop(*frames.shape[2:], scale=self.recipe.crop_scale, generator=generator)
        size = (self.recipe.model.image_size, self.recipe.model.image_size)
        crop = frames[:, :, top : top + height, left : left + width]
        resized = torch.nn.functional.interpolate(crop, size=size, mode="bicubic", antialias=True)
        if self.recipe.horizontal_flip and torch.rand((), generator=generator) < 0.5:
            resized = resized.flip(-1)
        mean, std = torch.tensor(self.recipe.image_mean), torch.tensor(self.recipe.image_std)
        scale, shift = (1 / (255 * std))[:, None, None], (-mean / std)[:, None, None]
        return resized.to(torch.float32, memory_format=torch.contiguous_format).mul_(scale).add_(shift)


def former_batches(samples: FormerSamples, plan: Plan, *, workers: int) -> Iterator[dict[str, Tensor]]:
    """Yields each batch, which is joined from its parts in this process."""
    parts = [
        [(batch.step, first, batch.clips[first : first + PART]) for first in range(0, len(batch.clips), PART)]
        for batch in plan.batches()
    ]
    loader = DataLoader(
        samples,
        batch_size=None,
        sampler=[part for of_batch in parts for part in of_batch],
        num_workers=workers,
        multiprocessing_context="spawn",
        generator=torch.Generator(),
    )
    loaded = iter(loader)
    for of_batch in parts:
        received = [next(loaded) for _ in of_batch]
        yield {name: torch.cat([part[name] for part in received]) for name in received[0]}
