"""Hashes of what a checkpoint is: its weights by value, and the small files beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor


def files_digest(*paths: Path) -> str:
    """Returns a hash (32 hex digits) of the files' bytes, in this order."""
    each = b"".join(hashlib.md5(path.read_bytes(), usedforsecurity=False).digest() for path in paths)
    return hashlib.md5(each, usedforsecurity=False).hexdigest()


def weights_digest(weights: Mapping[str, Tensor], *, beside: str) -> str:
    """Returns a hash (32 hex digits) of weights by name, type, shape and value, independent of their file's layout.

    beside: a hash of what else decides what the model says.
    """
    digest = hashlib.md5(beside.encode(), usedforsecurity=False)
    for name in sorted(weights):
        value = weights[name].contiguous()
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
