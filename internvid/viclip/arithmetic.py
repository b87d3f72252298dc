"""How much arithmetic ViCLIP needs, and how much a device can do."""

from __future__ import annotations

import time

import torch

from internvid.viclip.config import ViCLIPConfig

PEAK_SIDE = 8192  # of the square matrices whose product measures a device's peak; smaller ones do not fill an H100
PEAK_REPETITIONS = 10


def forward_flops(config: ViCLIPConfig, *, frames: int, kept: int | None = None) -> tuple[float, float]:
    """Returns the floating-point operations of one forward pass of a clip and of its text; a multiply-add is two.

    kept: number of the clip's patches that masking keeps; None: all.
    """
    patches = config.patches_per_frame * frames if kept is None else kept
    video = _tower(config.vision_layers, config.vision_width, 1 + patches)
    video += 2 * patches * 3 * config.patch_size**2 * config.vision_width
    return video, _tower(config.text_layers, config.text_width, config.context_length)


def step_flops(config: ViCLIPConfig, *, frames: int, mask_ratio: float, train_text: bool) -> float:
    """Returns the useful operations of a training step for one sample: a backward pass takes twice a forward pass.

    Recomputation is not counted: it is no use to anyone.
    """
    patches = config.patches_per_frame * frames
    video, text = forward_flops(config, frames=frames, kept=patches - int(mask_ratio * patches))
    return 3 * video + (3 if train_text else 1) * text


def measured_peak(
    device: torch.device, dtype: torch.dtype, *, side: int = PEAK_SIDE, repetitions: int = PEAK_REPETITIONS
) -> float:
    """Returns the operations per second of a product of two large matrices on the device, which is its practical peak.

    Makers' data sheets give more than any program reaches, and no figure for many cards. On an H100 this takes 0.1 s.
    """
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    left @ right  # chooses and loads the kernel
    _wait_for(device)
    began = time.perf_counter()
    for _ in range(repetitions):
        left @ right
    _wait_for(device)
    return repetitions * 2 * side**3 / (time.perf_counter() - began)


def _tower(layers: int, width: int, tokens: int) -> float:
    return layers * (2 * 12 * width**2 * tokens + 4 * tokens**2 * width)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
