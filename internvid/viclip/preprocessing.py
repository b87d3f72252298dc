"""Turns stored frames into the network's input: resizes them, then normalises RGB by mean and standard deviation.

The constants are part of a checkpoint, because weights only work with their own. ViCLIP was trained with ImageNet's
mean and deviation, not with CLIP's, although it was initialised from CLIP.

Resizing is torch's own for bytes: bicubic with antialiasing, 0.15 ms a frame from 320x240 to 224x224 on one core.
cv2's bicubic takes 0.1 ms but does not antialias, so it aliases wherever frames shrink much (to 64x64); the same on
floats takes 2.7 ms, Pillow 1 ms, both within one or two grey levels of this. torchvision resizes byte tensors by the
same kernel; before its version 0.17 it did so without antialiasing, which is how the published ViCLIP was trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch.nn import functional

from internvid.viclip.recipe import Crop, Recipe

# Range of width / height of a random crop; the default of torchvision's RandomResizedCrop.
CROP_ASPECTS = (3 / 4, 4 / 3)
CROP_TRIES = 10
CROP_SIDES = 4  # different ones of a multi-scale crop

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


# squash: the whole frame becomes the square. crop: the shorter side becomes the square's, the middle is taken.
Fit = Literal["squash", "crop"]
# aliased: bilinear without antialiasing, as cv2 resizes.
Resampling = Literal["bicubic", "bilinear", "aliased"]
FITS: tuple[str, ...] = get_args(Fit)
RESAMPLINGS: tuple[str, ...] = get_args(Resampling)
PILLOW_RESAMPLING: dict[int, Resampling] = {2: "bilinear", 3: "bicubic"}  # by the number that processors' files have


@dataclass(frozen=True)
class Preprocessing:
    """How frames are resized and normalised.

    image_size: side of the square that frames are resized to, in pixels. mean, std: of RGB values in 0..1.
    Raises ValueError for a size below one, a deviation that is not positive, and an unknown fit or resampling.
    """

    image_size: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    fit: Fit = "squash"
    resampling: Resampling = "bicubic"

    def __post_init__(self) -> None:
        if self.fit not in FITS or self.resampling not in RESAMPLINGS:
            raise ValueError(f"frames are not fitted by {self.fit!r}, or not resampled by {self.resampling!r}")
        if self.image_size < 1:
            raise ValueError(f"frames cannot be resized to {self.image_size} pixels")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(f"mean {self.mean} and std {self.std} are not those of red, green and blue")

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Preprocessing:
        return cls(recipe.model.image_size, recipe.image_mean, recipe.image_std)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Reads the result of `as_dict`, also after a round trip through JSON. Raises ValueError for other keys."""
        needed, known = {"image_size", "mean", "std"}, {field.name for field in fields(cls)}
        if not needed <= set(values) <= known:
            raise ValueError(f"preprocessing is {', '.join(sorted(known))}, not {sorted(values)}")
        others = {name: values[name] for name in known - needed if name in values}
        return cls(int(values["image_size"]), _rgb(values["mean"]), _rgb(values["std"]), **others)

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields; those that released checkpoints do not have only where they are not the default."""
        default = Preprocessing()
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in ("fit", "resampling") or value != getattr(default, name)
        }

    def frames(self, videos: Sequence[np.ndarray]) -> torch.Tensor:
        """Prepares frames for evaluation: `pixels`, `normalised`. Returns [b, t, 3, size, size] float32."""
        return self.normalised(self.pixels(videos))

    def pixels(self, videos: Sequence[np.ndarray]) -> torch.Tensor:
        """Resizes frames to the square: whole, without keeping their aspect ratio, unless `fit` crops them.

        videos: each [t, h, w, 3] uint8 RGB, with equal t; h and w may differ. Returns [b, t, 3, size, size] uint8.
        """
        if not videos:
            raise ValueError("no videos to resize")
        if len({len(video) for video in videos}) > 1:
            raise ValueError(f"videos of {sorted({len(video) for video in videos})} frames cannot stand in one batch")
        return torch.stack([self._fitted(_frames_tensor(video)) for video in videos])

    def augmented(
        self,
        video: np.ndarray,
        *,
        crop_scale: tuple[float, float],
        flip: bool,
        generator: torch.Generator,
        crop: Crop = "area",
    ) -> torch.Tensor:
        """Prepares frames for training: one random crop for all frames of the clip, resized, mirrored half of the time.

        video: [t, h, w, 3] uint8 RGB. crop, crop_scale: as of `random_crop` (area) or `multi_scale_crop` (sides).
        flip: False never mirrors. Returns [t, 3, size, size] uint8; `normalised` makes it the network's input.
        """
        height, width = _checked(video).shape[1:3]
        draw = random_crop if crop == "area" else multi_scale_crop
        top, left, crop_height, crop_width = draw(height, width, scale=crop_scale, generator=generator)
        # The crop is copied first: the kernel would copy it too, and takes twice as long for that.
        cropped = np.ascontiguousarray(video[:, top : top + crop_height, left : left + crop_width])
        resized = self._resized(_frames_tensor(cropped))
        if flip and torch.rand((), generator=generator) < 0.5:
            resized = resized.flip(-1)
        return resized

    def _fitted(self, frames: torch.Tensor) -> torch.Tensor:
        """[t, 3, h, w] uint8 -> [t, 3, size, size] uint8."""
        if self.fit == "squash":
            return self._resized(frames)
        height, width = frames.shape[2:]
        scale = self.image_size / min(height, width)
        long_side = max(self.image_size, int(max(height, width) * scale))
        size = (long_side, self.image_size) if height > width else (self.image_size, long_side)
        resized = self._resized(frames, size)
        top, left = ((side - self.image_size) // 2 for side in size)
        return resized[:, :, top : top + self.image_size, left : left + self.image_size]

    def _resized(self, frames: torch.Tensor, size: tuple[int, int] | None = None) -> torch.Tensor:
        """[t, 3, h, w] uint8 -> [t, 3, *size] uint8. size: height and width; None: the square."""
        size = size or (self.image_size, self.image_size)
        if frames.shape[2:] == size:
            return frames
        if self.resampling == "aliased":
            return functional.interpolate(frames, size=size, mode="bilinear", antialias=False)
        return functional.interpolate(frames, size=size, mode=self.resampling, antialias=True)

    def normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalises on the device of the pixels: (x / 255 - mean) / std, in one multiplication and one addition.

        pixels: [..., 3, height, width] uint8, of frames or of patches. Returns the same shape in float32.
        """
        mean, std = torch.tensor(self.mean), torch.tensor(self.std)
        scale, shift = ((1 / (255 * std))[:, None, None], (-mean / std)[:, None, None])
        scale, shift = (values.to(pixels.device, non_blocking=True) for values in (scale, shift))
        return pixels.to(torch.float32, memory_format=torch.contiguous_format).mul_(scale).add_(shift)


def random_crop(
    height: int, width: int, *, scale: tuple[float, float], generator: torch.Generator
) -> tuple[int, int, int, int]:
    """Draws (top, left, height, width) of a crop with random area and aspect, as torchvision's RandomResizedCrop.

    scale: minimum and maximum share of the area. If ten random crops do not fit, the result is the largest centred
    crop with an allowed aspect. Raises ValueError for shares outside 0..1.
    """
    if not 0 < scale[0] <= scale[1] <= 1:
        raise ValueError(f"a crop cannot take between {scale[0]} and {scale[1]} of the picture")
    min_log_aspect, max_log_aspect = (math.log(aspect) for aspect in CROP_ASPECTS)
    for share, aspect, *_ in torch.rand(CROP_TRIES, 2, generator=generator).tolist():
        area = height * width * (scale[0] + share * (scale[1] - scale[0]))
        ratio = math.exp(min_log_aspect + aspect * (max_log_aspect - min_log_aspect))
        crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int(torch.randint(height - crop_height + 1, (), generator=generator))
            left = int(torch.randint(width - crop_width + 1, (), generator=generator))
            return top, left, crop_height, crop_width
    crop_width = max(1, min(width, round(height * CROP_ASPECTS[1])))
    crop_height = max(1, min(height, round(width / CROP_ASPECTS[0])))
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width


def multi_scale_crop(
    height: int, width: int, *, scale: tuple[float, float], generator: torch.Generator
) -> tuple[int, int, int, int]:
    """Draws (top, left, height, width) of a crop as Temporal Segment Networks do (arXiv 1608.00859): MultiScaleCrop.

    Height and width are drawn from CROP_SIDES multiples of the picture's shorter side, in even steps from scale[1] to
    scale[0], and differ by one step at most. The crop lies in a corner, in the middle, or half-way between two of
    these: 3 by 3 places, and 4 between the middle and the corners. Raises ValueError for shares outside 0..1.
    """
    if not 0 < scale[0] <= scale[1] <= 1:
        raise ValueError(f"a crop cannot take between {scale[0]} and {scale[1]} of the shorter side")
    shorter = min(height, width)
    sides = [max(1, round(shorter * share)) for share in np.linspace(scale[1], scale[0], CROP_SIDES)]
    pairs = [(i, j) for i in range(CROP_SIDES) for j in range(CROP_SIDES) if abs(i - j) <= 1]
    places = [(row, column) for row in (0, 2, 4) for column in (0, 2, 4)]
    places += [(row, column) for row in (1, 3) for column in (1, 3)]  # in quarters of the room that the crop leaves
    high, wide = pairs[int(torch.randint(len(pairs), (), generator=generator))]
    row, column = places[int(torch.randint(len(places), (), generator=generator))]
    return (height - sides[high]) * row // 4, (width - sides[wide]) * column // 4, sides[high], sides[wide]


def _checked(video: np.ndarray) -> np.ndarray:
    if video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3 or not video.size:
        raise ValueError(f"frames are [time, height, width, 3] uint8, not {list(video.shape)} {video.dtype}")
    return video


def _frames_tensor(video: np.ndarray) -> torch.Tensor:
    """[t, h, w, 3] uint8 -> a view [t, 3, h, w], channels last in memory, the fastest layout for resizing."""
    _checked(video)
    # A read-only array is copied: torch warns about it, because a tensor cannot be read-only.
    writable = video if video.flags.writeable and min(video.strides) >= 0 else video.copy()
    return torch.from_numpy(writable).permute(0, 3, 1, 2)


def _rgb(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
