"""The device that models run on."""

from __future__ import annotations

import torch


def device_named(name: str) -> torch.device:
    """Returns the torch device of that name; "auto" is a GPU if there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
