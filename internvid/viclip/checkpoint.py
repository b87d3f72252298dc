"""A checkpoint: the model with all that it means anything with, in a folder.

    model.safetensors   the weights, in the released layout
    config.json         sizes of the model, and the preprocessing of its frames
    tokenizer.json      the vocabulary
    receipt.json        what it was trained on, by what: free to say, not needed to load it

Folders as they were released on the Hugging Face hub can be read too: weights as model.safetensors or one .pth file,
and CLIP's list of merges.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from internvid.report.whole_file import whole_file
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.model import ViCLIP
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.tokenizer import FILE_NAME as TOKENIZER
from internvid.viclip.tokenizer import Tokenizer
from internvid.viclip.weights import config_of, load_into, read_weights

WEIGHTS, CONFIG, RECEIPT = "model.safetensors", "config.json", "receipt.json"
BELONGS_TO = "belongs_to"  # in the header of the weights: a hash of configuration and vocabulary
CLIP_MERGES = "bpe_simple_vocab_16e6.txt.gz"
RELEASED_WEIGHTS = ("*.pth", "*.pt", "*.bin")


@dataclass
class Checkpoint:
    """receipt: anything that JSON holds. Raises ValueError where the parts do not belong together."""

    model: ViCLIP
    tokenizer: Tokenizer
    preprocessing: Preprocessing
    receipt: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config = self.model.config
        if self.tokenizer.vocab_size > config.vocab_size:
            raise ValueError(
                f"the tokenizer knows {self.tokenizer.vocab_size} tokens, and the model {config.vocab_size} of them"
            )
        if self.tokenizer.context_length > config.context_length:
            raise ValueError(
                f"the tokenizer gives {self.tokenizer.context_length} tokens to a model that reads "
                f"{config.context_length}"
            )
        if self.preprocessing.image_size != config.image_size:
            raise ValueError(
                f"frames are made {self.preprocessing.image_size} pixels wide for a model that sees {config.image_size}"
            )


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Writes the checkpoint's files, each whole or not at all, the weights last. Makes the folder, and returns it.

    The weights say which configuration and vocabulary they belong to: what is left of a save over another checkpoint
    that was cut short is an error to load, never a mixture of both.
    """
    folder = Path(folder)
    config = {"model": checkpoint.model.config.as_dict(), "preprocessing": checkpoint.preprocessing.as_dict()}
    written = {name: _json(content) for name, content in ((CONFIG, config), (RECEIPT, checkpoint.receipt))}
    for name, text in written.items():
        with whole_file(folder / name) as file:
            file.write(text)
    checkpoint.tokenizer.save(folder)
    weights = {name: value.detach().cpu().contiguous() for name, value in checkpoint.model.state_dict().items()}
    _write_weights(folder / WEIGHTS, weights, {"format": "pt", BELONGS_TO: _hash(folder / CONFIG, folder / TOKENIZER)})
    return folder


def load_checkpoint(folder: Path, device: str | torch.device = "cpu") -> Checkpoint:
    """What `save_checkpoint` wrote, or a released folder: exactly the weights of the file, in evaluation mode.

    Raises FileNotFoundError that says which file is missing, ValueError that says which is wrong, and how.
    """
    files = _files(Path(folder))
    if files.is_released:
        checkpoint, weights = _released(files)
    else:
        checkpoint, weights = _saved(files)
    try:
        load_into(checkpoint.model, weights)
    except ValueError as error:
        raise ValueError(f"{files.weights}: {error}") from error
    checkpoint.model.to(device).eval()
    return checkpoint


def checkpoint_digest(folder: Path) -> str:
    """32 hex digits of all that decides a checkpoint's vectors: weights, configuration, vocabulary; not the receipt.

    Weights count by name, type, shape and value, however the file lays them out. Raises as `load_checkpoint` does.
    """
    files = _files(Path(folder))
    total = hashlib.md5(_hash(*(path for path in (files.config, files.vocabulary) if path)).encode())
    weights = read_weights(files.weights)
    for name in sorted(weights):
        value = weights[name].contiguous()
        total.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        total.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


@dataclass(frozen=True)
class _Files:
    """Where the parts of a checkpoint are. config: None in a released folder that has only weights and merges."""

    config: Path | None
    vocabulary: Path
    weights: Path
    is_released: bool


def _files(folder: Path) -> _Files:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no checkpoint folder {folder}")
    config = folder / CONFIG
    held = _read_json(config) if config.exists() else {}
    if "model" not in held:
        return _Files(config if held else None, _merges(folder, held), _weights(folder), is_released=True)
    files = _Files(config, folder / TOKENIZER, folder / WEIGHTS, is_released=False)
    for path in (files.vocabulary, files.weights):
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: the checkpoint was not saved to its end")
    return files


def _saved(files: _Files) -> tuple[Checkpoint, dict[str, Tensor]]:
    assert files.config is not None, "what was saved has a configuration"
    weights = read_weights(files.weights)
    with safe_open(files.weights, framework="pt") as opened:
        belongs_to = (opened.metadata() or {}).get(BELONGS_TO)
    if belongs_to != _hash(files.config, files.vocabulary):
        raise ValueError(
            f"{files.weights} belongs to another {CONFIG} or {TOKENIZER} than those beside it: a save over another "
            "checkpoint was cut short, or a file was changed"
        )
    held = _read_json(files.config)
    try:
        config = ViCLIPConfig(**held["model"])
        preprocessing = Preprocessing.from_dict(held["preprocessing"])
        tokenizer = Tokenizer.load(files.vocabulary.parent, config.context_length)
        receipt = files.config.with_name(RECEIPT)
        held_receipt = _read_json(receipt) if receipt.exists() else {}
        return Checkpoint(ViCLIP(config), tokenizer, preprocessing, held_receipt), weights
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{files.config.parent} is no checkpoint: {error}") from error


def _released(files: _Files) -> tuple[Checkpoint, dict[str, Tensor]]:
    """Sizes are those that the weights have; the configuration says no more than a name for them."""
    weights = read_weights(files.weights)
    try:
        config = config_of(weights)
    except ValueError as error:
        raise ValueError(f"{files.weights}: {error}") from error
    tokenizer = Tokenizer.clip_from_merges(files.vocabulary, config.context_length)
    return Checkpoint(ViCLIP(config), tokenizer, Preprocessing(config.image_size)), weights


def _merges(folder: Path, config: Mapping[str, Any]) -> Path:
    """CLIP's list of merges: where the configuration says, or else beside it."""
    said = str(config.get("tokenizer_path") or CLIP_MERGES)
    for path in (folder / said, folder / Path(said).name, folder / CLIP_MERGES):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{folder} is no checkpoint: it has neither a {CONFIG} with a model's sizes, as a saved one has, nor {said}, "
        "as a released one has"
    )


def _weights(folder: Path) -> Path:
    if (folder / WEIGHTS).exists():
        return folder / WEIGHTS
    found = sorted(path for pattern in RELEASED_WEIGHTS for path in folder.glob(pattern))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise FileNotFoundError(f"{folder} has no {WEIGHTS}, nor one {' or '.join(RELEASED_WEIGHTS)}, but {names}")
    return found[0]


def _hash(*paths: Path) -> str:
    return hashlib.md5(b"".join(hashlib.md5(path.read_bytes()).digest() for path in paths)).hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(held, dict):
        raise ValueError(f"{path} is no JSON object, but {type(held).__name__}")
    return held


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _write_weights(path: Path, weights: dict[str, Tensor], metadata: dict[str, str]) -> None:
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        save_file(weights, unfinished, metadata)
        shutil.copymode(path.with_name(CONFIG), unfinished)  # the library lets only its own user read what it writes
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
