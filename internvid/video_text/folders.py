"""Loads the encoder of a folder, whatever made it, and hashes what decides its vectors."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors import safe_open

from internvid.evaluation.fine_tuned import TunedEncoder
from internvid.viclip.checkpoint import CONFIG, checkpoint_digest
from internvid.viclip.encoder import Encoder
from internvid.viclip.heads import HEADS
from internvid.viclip.initial_clip import OPEN_CLIP_CONFIG
from internvid.viclip.precision import Precision
from internvid.video_text.open_clip_encoder import OpenClipEncoder
from internvid.video_text.transformers_encoder import PICTURE_MODELS, VIDEO_MODELS, TransformersEncoder

LoadedEncoder = Encoder | TransformersEncoder | OpenClipEncoder

# Files of a folder of others that decide its vectors, beside the weights.
DECIDING = ("*.json", "*.txt", "*.model")


def load_encoder(
    folder: Path, device: str | torch.device = "cpu", *, frames: int | None = None, precision: Precision = "auto"
) -> LoadedEncoder:
    """Returns the encoder of a ViCLIP, as `load_checkpoint` reads it, or of a CLIP-like model of others.

    Raises FileNotFoundError naming a missing file, and ValueError naming what is wrong with the folder.
    """
    is_of_open_clip = (folder / OPEN_CLIP_CONFIG).exists()
    if not is_of_others(folder):
        return TunedEncoder.load(folder, device, frames=frames, precision=precision)
    try:
        if is_of_open_clip:
            return OpenClipEncoder(folder, device, frames=frames, precision=precision)
        return TransformersEncoder(str(folder), device, frames=frames, precision=precision)
    except (OSError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"{folder} cannot be loaded: {error}") from error


def encoder_digest(folder: Path) -> str:
    """Returns a hash (32 hex digits) of the files that decide the folder's vectors and what its heads say.

    Raises as `load_encoder` does.
    """
    if not is_of_others(folder):
        of_vectors, heads = checkpoint_digest(folder), folder / HEADS
        if not heads.exists():
            return of_vectors
        return hashlib.md5(of_vectors.encode() + heads.read_bytes(), usedforsecurity=False).hexdigest()
    digest = hashlib.md5(usedforsecurity=False)
    for path in sorted({path for pattern in DECIDING for path in folder.glob(pattern)}):
        digest.update(f"{path.name}\0".encode() + hashlib.md5(path.read_bytes()).digest())
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as weights:
            for name in sorted(weights.keys()):
                value = weights.get_tensor(name).contiguous()
                digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
                digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def is_of_others(folder: Path) -> bool:
    """Says whether the folder holds a CLIP-like model of others, of `transformers` or open_clip, and no ViCLIP."""
    return (folder / OPEN_CLIP_CONFIG).exists() or is_of_transformers(folder)


def is_of_transformers(folder: Path) -> bool:
    """Says whether the folder's configuration is of one of the CLIP-like models that `TransformersEncoder` reads."""
    try:
        content = json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("model_type") in (*PICTURE_MODELS, *VIDEO_MODELS)
