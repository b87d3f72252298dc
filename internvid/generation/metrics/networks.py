"""The networks in whose features generated videos are compared, from weight files of the user's.

A file is a TorchScript program, as StyleGAN3's `inception-2015-12-05.pt` and StyleGAN-V's `i3d_torchscript.pt` are, or,
of I3D, plain weights (.safetensors or torch.save). Of plain weights no code is run. A TorchScript program is code of
torch's own language, not of Python: run one only from its original source.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from internvid.generation.metrics.i3d import MIN_FRAMES, SIDE, i3d_of
from internvid.viclip.weights import read_weights

FRAMES_PER_CALL, VIDEOS_PER_CALL = 32, 4  # with more, a CPU is no faster and memory grows


class Inception:
    """Inception-v3 of 2015, as a TorchScript program that resizes frames by itself.

    Its interface is that of StyleGAN3's file: uint8 [n, 3, height, width] -> features [n, width] with
    `return_features=True`, and probabilities [n, classes] with `no_output_bias=True`.
    """

    preparation = "frames of their own size, which the network resizes to 299 x 299"

    def __init__(self, path: Path, device: str | torch.device = "cpu") -> None:
        """Raises FileNotFoundError, and ValueError for a file that is no TorchScript program."""
        self.program, self.device = _program(path, device), torch.device(device)

    def features(self, videos: Sequence[np.ndarray]) -> np.ndarray:
        """videos: each [frames, height, width, 3] uint8 RGB -> [frames of all, width] float32."""
        return self._of_frames(videos, return_features=True)

    def probabilities(self, videos: Sequence[np.ndarray]) -> np.ndarray:
        """Returns [frames of all, classes] float32; each row sums to 1."""
        return self._of_frames(videos, no_output_bias=True)

    @torch.inference_mode()
    def _of_frames(self, videos: Sequence[np.ndarray], **options: bool) -> np.ndarray:
        parts = []
        for video in videos:
            for start in range(0, len(video), FRAMES_PER_CALL):
                pictures = torch.from_numpy(np.ascontiguousarray(video[start : start + FRAMES_PER_CALL]))
                parts.append(self.program(pictures.permute(0, 3, 1, 2).to(self.device), **options).float().cpu())
        return torch.cat(parts).numpy()


class VideoFeatures:
    """I3D's 400 scores of a video, from a TorchScript program or plain weights.

    The interface of a program is that of StyleGAN-V's file: float [n, 3, frames, 224, 224] in -1..1 -> [n, 400] with
    `rescale=False, resize=False, return_features=True`.
    """

    preparation = f"frames resized to {SIDE} x {SIDE}, bilinear with antialiasing, whole, in -1..1"

    def __init__(self, path: Path, device: str | torch.device = "cpu") -> None:
        """Raises FileNotFoundError, and ValueError naming what is wrong with the file."""
        self.device = torch.device(device)
        self.options: dict[str, bool] = {}
        self.network: Any
        if is_program(path):
            self.network = _program(path, device)
            self.options = {"rescale": False, "resize": False, "return_features": True}
        else:
            self.network = i3d_of(read_weights(path)).to(self.device)

    @torch.inference_mode()
    def features(self, videos: Sequence[np.ndarray]) -> np.ndarray:
        """videos: each [frames, height, width, 3] uint8 RGB -> [n, 400] float32. Raises ValueError for few frames."""
        if short := [len(video) for video in videos if len(video) < MIN_FRAMES]:
            raise ValueError(f"I3D needs {MIN_FRAMES} frames of a video, not {short[0]}")
        parts = []
        for start in range(0, len(videos), VIDEOS_PER_CALL):
            prepared = torch.stack([_prepared(video, self.device) for video in videos[start : start + VIDEOS_PER_CALL]])
            parts.append(self.network(prepared, **self.options).float().cpu())
        return torch.cat(parts).numpy()


def is_program(path: Path) -> bool:
    """Says whether the file is a TorchScript program: an archive that holds code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _program(path: Path, device: str | torch.device) -> Any:
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if not is_program(path):
        raise ValueError(f"{path} is no TorchScript program. A pickle of Python is not opened: it can run code")
    try:
        return torch.jit.load(str(path), map_location=device).eval()
    except RuntimeError as error:
        raise ValueError(f"{path} cannot be read as a TorchScript program: {error}") from error


def _prepared(video: np.ndarray, device: torch.device) -> Tensor:
    """Returns [3, frames, 224, 224] float in -1..1."""
    frames = torch.from_numpy(np.ascontiguousarray(video)).permute(0, 3, 1, 2).to(device).float()
    if frames.shape[-2:] != (SIDE, SIDE):
        frames = functional.interpolate(frames, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    return (frames / 127.5 - 1).clamp(-1, 1).transpose(0, 1)
