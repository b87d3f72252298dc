"""Where models run."""

from __future__ import annotations

import torch


def device_named(name: str) -> torch.device:
    """The device as torch names it; "auto" is a GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
