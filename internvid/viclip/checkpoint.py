"""A checkpoint: a folder with the weights and everything that is needed to use them.

    model.safetensors   the weights, in the released layout
    config.json         sizes of the model, and the preprocessing of its frames
    tokenizer.json      the vocabulary
    receipt.json        how the checkpoint was trained: free-form, optional when loading

Folders in the layout of the released models on the Hugging Face hub can be read too: weights as model.safetensors or
one .pth file, and CLIP's list of merges, or the tokenizer.json that `transformers` writes. Constants of the frames are
read from its preprocessor_config.json, where there is one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from internvid.networks.saved_weights import files_digest, save_weights, saved_with, weights_digest
from internvid.report.whole_file import whole_file
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.model import MIN_TEMPERATURE, ViCLIP
from internvid.viclip.preprocessing import PILLOW_RESAMPLING, Preprocessing
from internvid.viclip.tokenizer import FILE_NAME as TOKENIZER
from internvid.viclip.tokenizer import Tokenizer
from internvid.viclip.weights import config_from_weights, load_into, read_weights, require_answers

WEIGHTS, CONFIG, RECEIPT = "model.safetensors", "config.json", "receipt.json"
CLIP_MERGES = "bpe_simple_vocab_16e6.txt.gz"
RELEASED_WEIGHTS = ("*.pth", "*.pt", "*.bin")
PROCESSORS = ("video_preprocessor_config.json", "preprocessor_config.json")  # of `transformers`


@dataclass
class Checkpoint:
    """A model with its tokenizer, preprocessing and receipt.

    receipt: any JSON object. Raises ValueError if the sizes of the parts do not match.
    """

    model: ViCLIP
    tokenizer: Tokenizer
    preprocessing: Preprocessing
    receipt: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config = self.model.config
        if self.tokenizer.vocab_size > config.vocab_size:
            raise ValueError(
                f"the tokenizer has {self.tokenizer.vocab_size} tokens, but the model embeds only {config.vocab_size}"
            )
        if self.tokenizer.context_length > config.context_length:
            raise ValueError(
                f"the tokenizer returns {self.tokenizer.context_length} tokens per text, but the model reads "
                f"{config.context_length}"
            )
        if self.preprocessing.image_size != config.image_size:
            raise ValueError(
                f"frames are resized to {self.preprocessing.image_size} pixels, but the model reads {config.image_size}"
            )


def save_checkpoint(
    folder: Path, checkpoint: Checkpoint, *, transformers_config: Mapping[str, Any] | None = None
) -> Path:
    """Writes the checkpoint's files, each atomically, the weights last. Creates the folder, and returns it.

    transformers_config: further entries of the configuration, for a folder that `transformers` loads too; the
    vocabulary is then written for the `tokenizers` library alone.
    The header of the weights holds a hash of the configuration and the vocabulary. If a save over an older checkpoint
    is interrupted, loading the folder raises an error; it never returns a mixture of the two.
    """
    folder = Path(folder)
    config = {"model": checkpoint.model.config.as_dict(), "preprocessing": checkpoint.preprocessing.as_dict()}
    config |= transformers_config or {}
    json_files = {name: _json(content) for name, content in ((CONFIG, config), (RECEIPT, checkpoint.receipt))}
    for name, text in json_files.items():
        with whole_file(folder / name) as file:
            file.write(text)
    if transformers_config is None:
        checkpoint.tokenizer.save(folder)
    else:
        checkpoint.tokenizer.save_standalone(folder)
    belongs_to = files_digest(folder / CONFIG, folder / TOKENIZER)
    weights = checkpoint.model.state_dict()
    save_weights(folder / WEIGHTS, weights, belongs_to=belongs_to, mode_of=folder / CONFIG)
    return folder


def load_checkpoint(folder: Path, device: str | torch.device = "cpu") -> Checkpoint:
    """Loads a folder that `save_checkpoint` wrote, or a released one. The model is in evaluation mode.

    Raises FileNotFoundError naming a missing file, and ValueError naming an invalid file and what is wrong with it.
    """
    files = _files(Path(folder))
    if files.is_released:
        checkpoint, weights = _released(files)
    else:
        checkpoint, weights = _saved(files)
    try:
        load_into(checkpoint.model, weights)
        require_answers(weights)
    except ValueError as error:
        raise ValueError(f"{files.weights}: {error}") from error
    checkpoint.model.to(device).eval()
    return checkpoint


def checkpoint_digest(folder: Path) -> str:
    """Returns a hash (32 hex digits) of the files that determine a checkpoint's vectors.

    These are the weights, the configuration and the vocabulary, not the receipt. Weights are hashed by name, type,
    shape and value, independent of the file's layout. Raises as `load_checkpoint` does.
    """
    files = _files(Path(folder))
    return weights_digest(
        read_weights(files.weights),
        beside=files_digest(*(path for path in (files.config, files.vocabulary, files.processor) if path)),
    )


@dataclass(frozen=True)
class _Files:
    """Paths of the parts of a checkpoint. config: None in a released folder that has only weights and merges.

    processor: how `transformers` prepares frames, in a released folder that says so.
    """

    config: Path | None
    vocabulary: Path
    weights: Path
    is_released: bool
    processor: Path | None = None


def _files(folder: Path) -> _Files:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no checkpoint folder {folder}")
    config = folder / CONFIG
    content = _read_json(config) if config.exists() else {}
    if "model" not in content:
        processor = next((folder / name for name in PROCESSORS if (folder / name).exists()), None)
        merges = _merges(folder, content)
        return _Files(config if content else None, merges, _weights(folder), is_released=True, processor=processor)
    files = _Files(config, folder / TOKENIZER, folder / WEIGHTS, is_released=False)
    for path in (files.vocabulary, files.weights):
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: the checkpoint was not saved to its end")
    return files


def _saved(files: _Files) -> tuple[Checkpoint, dict[str, Tensor]]:
    assert files.config is not None, "a saved checkpoint has a configuration"
    weights = read_weights(files.weights)
    try:
        expected_hash = saved_with(files.weights)
    except SafetensorError as error:  # weights all the same, but of torch.save
        raise ValueError(f"{files.weights} is no safetensors file, as its name says: {error}") from error
    if expected_hash != files_digest(files.config, files.vocabulary):
        raise ValueError(
            f"{files.weights} belongs to another {CONFIG} or {TOKENIZER} than those beside it: a save over another "
            "checkpoint was cut short, or a file was changed"
        )
    content = _read_json(files.config)
    try:
        config = ViCLIPConfig(**content["model"])
        preprocessing = Preprocessing.from_dict(content["preprocessing"])
        tokenizer = Tokenizer.load(files.vocabulary.parent, config.context_length)
        receipt_path = files.config.with_name(RECEIPT)
        receipt = _read_json(receipt_path) if receipt_path.exists() else {}
        return Checkpoint(ViCLIP(config), tokenizer, preprocessing, receipt), weights
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{files.config.parent} is no checkpoint: {error}") from error


def _released(files: _Files) -> tuple[Checkpoint, dict[str, Tensor]]:
    """Reads the sizes from the shapes of the weights: a released configuration does not hold them."""
    weights = read_weights(files.weights)
    try:
        config = config_from_weights(weights)
    except ValueError as error:
        raise ValueError(f"{files.weights}: {error}") from error
    if files.vocabulary.name == TOKENIZER:
        tokenizer = Tokenizer.load(files.vocabulary.parent, config.context_length)
        weights.setdefault("temp", torch.tensor(MIN_TEMPERATURE))  # models for vectors alone need none
    else:
        tokenizer = Tokenizer.clip_from_merges(files.vocabulary, config.context_length)
    preprocessing = Preprocessing(config.image_size)
    if files.processor is not None:
        preprocessing = preprocessing_of_processor(files.processor, config.image_size)
    return Checkpoint(ViCLIP(config), tokenizer, preprocessing), weights


def preprocessing_of_processor(path: Path, image_size: int) -> Preprocessing:
    """Reads a processor's file: the constants, and whether frames are cropped. Raises ValueError naming what is odd."""
    content = _read_json(path)
    try:
        size, crop = content.get("size") or {}, content.get("crop_size") or {}
        sizes = {*(size.values() if isinstance(size, dict) else [size])}
        crops = {*(crop.values() if isinstance(crop, dict) else [crop])} if content.get("do_center_crop") else set()
        if sizes | crops != {image_size}:
            raise ValueError(f"frames become {sorted(sizes | crops)} pixels, but the model reads {image_size}")
        return Preprocessing(
            image_size,
            mean=tuple(content["image_mean"]),
            std=tuple(content["image_std"]),
            fit="crop" if crops else "squash",
            resampling=PILLOW_RESAMPLING[content.get("resample", 3)],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not say how frames are prepared: {error!r}") from error


def _merges(folder: Path, config: Mapping[str, Any]) -> Path:
    """Returns the path of CLIP's list of merges: the one that the configuration names, else the one in the folder;
    without one that of tokenizer.json.
    """
    merges_name = str(config.get("tokenizer_path") or CLIP_MERGES)
    for path in (folder / merges_name, folder / Path(merges_name).name, folder / CLIP_MERGES, folder / TOKENIZER):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{folder} is no checkpoint: it has neither a {CONFIG} with a model's sizes, as a saved one has, "
        f"nor {merges_name} or {TOKENIZER}, as a released one has"
    )


def _weights(folder: Path) -> Path:
    if (folder / WEIGHTS).exists():
        return folder / WEIGHTS
    paths = sorted(path for pattern in RELEASED_WEIGHTS for path in folder.glob(pattern))
    if len(paths) != 1:
        names = ", ".join(path.name for path in paths) or "none"
        raise FileNotFoundError(f"{folder} has no {WEIGHTS}, nor one {' or '.join(RELEASED_WEIGHTS)}, but {names}")
    return paths[0]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # nested too deeply to be read
        raise ValueError(f"{path} is no JSON that can be read: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no JSON object, but {type(content).__name__}")
    return content


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
