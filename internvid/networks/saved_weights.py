"""The weights of a checkpoint in a safetensors file that names the small files beside it; and hashes of both."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

BELONGS_TO = "belongs_to"  # in the header of the weights: a hash of configuration and vocabulary


def save_weights(path: Path, weights: Mapping[str, Tensor], *, belongs_to: str, mode_of: Path) -> None:
    """Writes the weights, whole or not at all. belongs_to: hash of the files beside them. mode_of: a file beside them,
    with the permissions that they get.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    temporary_path = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        save_file(weights, temporary_path, {"format": "pt", BELONGS_TO: belongs_to})
        shutil.copymode(mode_of, temporary_path)  # safetensors makes files that only their owner can read
        with temporary_path.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary_path, path)
    finally:
        temporary_path.unlink(missing_ok=True)


def saved_with(path: Path) -> str | None:
    """Returns the hash of the files that weights were saved with; None without one. Raises SafetensorError."""
    with safe_open(path, framework="pt") as opened:
        return (opened.metadata() or {}).get(BELONGS_TO)


def load_weights(path: Path, *, belongs_to: str) -> dict[str, Tensor]:
    """Returns what `save_weights` wrote. Raises ValueError for another file, and where it belongs to other files."""
    try:
        expected, weights = saved_with(path), load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error
    if expected != belongs_to:
        raise ValueError(f"{path.parent}: weights and configuration are of two checkpoints: saving was cut short")
    return weights


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
