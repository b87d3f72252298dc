"""Reads the CLIP that training starts from: a checkpoint of `transformers`, or a folder as open_clip publishes it.

Of open_clip's layout the configuration and the weights are read here; the package open_clip itself is not needed.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from internvid.viclip.checkpoint import CLIP_MERGES, CONFIG, TOKENIZER
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.model import ViCLIP
from internvid.viclip.tokenizer import Tokenizer
from internvid.viclip.weights import (
    CONTEXT_LENGTH,
    FRAMES,
    TEMPORAL,
    TEXT_POSITIONS,
    first_names,
    from_clip,
    misfits,
    read_weights,
)

OPEN_CLIP_CONFIG = "open_clip_config.json"
OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")

# Settings of open_clip's towers that are read, with the values that open_clip gives them where they are absent.
_VISION = {"image_size": 224, "patch_size": 16, "layers": 12, "width": 768, "head_width": 64, "mlp_ratio": 4.0}
_TEXT = {"context_length": 77, "vocab_size": 49_408, "layers": 12, "width": 512, "heads": 8, "mlp_ratio": 4.0}
# Settings that change nothing in a CLIP: of training, of parts that it lacks, or the value that open_clip assumes.
_WITHOUT_EFFECT = ("patch_dropout", "output_tokens", "attn_pooler_queries", "attn_pooler_heads", "pad_id", "eos_id")
_AS_IN_CLIP = {"pool_type": ("tok", "argmax"), "pos_embed_type": ("learnable",), "proj_type": ("linear",)}


def is_of_open_clip_alone(folder_or_id: Path | str) -> bool:
    """Says whether a folder holds a model in open_clip's layout, and none of `transformers` beside it."""
    folder = Path(folder_or_id)
    return (folder / OPEN_CLIP_CONFIG).is_file() and not (folder / CONFIG).exists()


def initial_clip(folder_or_id: Path | str) -> tuple[ViCLIPConfig, dict[str, Tensor]]:
    """Returns a ViCLIP that gives the same embedding for a single frame as the CLIP, as `from_clip` describes it.

    folder_or_id: folder in one of the two layouts, or hub id of a checkpoint of `transformers`. Raises as `from_clip`.
    """
    return from_open_clip(Path(folder_or_id)) if is_of_open_clip_alone(folder_or_id) else from_clip(folder_or_id)


def initial_tokenizer(folder_or_id: Path | str, *, context_length: int) -> Tokenizer:
    """Returns the tokenizer of that CLIP.

    Folders of open_clip have none of their own: theirs is CLIP's list of merges, beside the weights or in its package.

    Raises OSError if there is none, ValueError for a tokenizer of another type.
    """
    if not is_of_open_clip_alone(folder_or_id):
        return Tokenizer.clip_from_folder(folder_or_id, context_length=context_length)
    folder = Path(folder_or_id)
    if (folder / TOKENIZER).exists():
        return Tokenizer.load(folder, context_length=context_length)
    package = importlib.util.find_spec("open_clip")
    places = [folder, *map(Path, package.submodule_search_locations or ())] if package else [folder]
    for place in places:
        if (place / CLIP_MERGES).exists():
            return Tokenizer.clip_from_merges(place / CLIP_MERGES, context_length)
    raise FileNotFoundError(
        f"{folder} has no tokenizer: put CLIP's {CLIP_MERGES} or {TOKENIZER} beside the weights, or install open_clip, "
        "which brings the list: pip install 'internvid-lakehouse[open-clip]'"
    )


def from_open_clip(folder: Path) -> tuple[ViCLIPConfig, dict[str, Tensor]]:
    """Converts a CLIP in open_clip's layout, such as those trained on DataComp, as `from_clip` does.

    Raises FileNotFoundError without weights in safetensors, ValueError for a model that is no CLIP with two
    transformers, or that ViCLIP's network cannot represent.
    """
    config = _viclip_config(folder, model_config(folder))
    path = next((folder / name for name in OPEN_CLIP_WEIGHTS if (folder / name).exists()), None)
    if path is None:
        raise FileNotFoundError(f"{folder} has no weights as safetensors ({OPEN_CLIP_WEIGHTS[0]})")
    # Models with settings of their own for the text tower have its weights below "text.".
    given = {name.removeprefix("text."): value.float() for name, value in read_weights(path).items()}
    given.pop("attn_mask", None)
    try:
        weights = {"temp": (-given.pop("logit_scale")).exp().clamp(min=0.01).reshape(())}
    except KeyError as error:
        raise ValueError(f"{path} is no CLIP: {error.args[0]} is missing") from error
    for name, value in given.items():
        of_vision = name.startswith("visual.")
        weights[f"vision_encoder.{name.removeprefix('visual.')}" if of_vision else f"text_encoder.{name}"] = value
    weights[TEMPORAL] = torch.zeros(1, FRAMES, config.vision_width)
    if (convolution := weights.get("vision_encoder.conv1.weight")) is not None:
        weights["vision_encoder.conv1.weight"] = convolution.unsqueeze(2)
    if (positions := weights.get(TEXT_POSITIONS)) is not None:
        weights[TEXT_POSITIONS] = positions[: config.context_length]
    _check_shapes(weights, config, path)
    return config, {name: value.clone().contiguous() for name, value in weights.items()}


def model_config(folder: Path) -> Mapping[str, Any]:
    """Returns the model's part of open_clip's configuration. Raises ValueError where there is none."""
    try:
        content = json.loads((folder / OPEN_CLIP_CONFIG).read_text(encoding="utf-8"))
        config = content["model_cfg"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{folder / OPEN_CLIP_CONFIG} is no configuration of open_clip: {error!r}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{folder / OPEN_CLIP_CONFIG} is no configuration of open_clip")
    return config


def part_of(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Returns the settings of a tower; none where it has none."""
    part = config.get(name)
    return part if isinstance(part, dict) else {}


def _viclip_config(folder: Path, config: Mapping[str, Any]) -> ViCLIPConfig:
    """Raises ValueError naming the settings that ViCLIP's network lacks: it would compute something else."""
    towers, problems = {}, []
    for name, read in (("vision_cfg", _VISION), ("text_cfg", _TEXT)):
        given = part_of(config, name)
        towers[name] = read | {key: value for key, value in given.items() if key in read}
        whole = {key: value for key, value in towers[name].items() if key != "mlp_ratio"}
        problems += [f"{name}.{key} = {value!r}" for key, value in whole.items() if not _is_size(value)]
        if towers[name]["mlp_ratio"] != 4:
            problems.append(f"{name}.mlp_ratio = {towers[name]['mlp_ratio']!r}")
        problems += [
            f"{name}.{key} = {value!r}"
            for key, value in given.items()
            if key not in read and not _changes_nothing(key, value, given)
        ]
    if not _is_size(config.get("embed_dim")):
        problems.append(f"embed_dim = {config.get('embed_dim')!r}")
    if "multimodal_cfg" in config:
        problems.append("multimodal_cfg")
    if problems:
        raise ValueError(f"{folder} cannot become a ViCLIP, whose network has no {', '.join(problems)}")
    vision, text = towers["vision_cfg"], towers["text_cfg"]
    return ViCLIPConfig(
        image_size=vision["image_size"],
        patch_size=vision["patch_size"],
        vision_width=vision["width"],
        vision_layers=vision["layers"],
        vision_heads=max(vision["width"] // vision["head_width"], 1),
        text_width=text["width"],
        text_layers=text["layers"],
        text_heads=text["heads"],
        embed_dim=config["embed_dim"],
        vocab_size=text["vocab_size"],
        context_length=min(CONTEXT_LENGTH, text["context_length"]),
        frames=FRAMES,
        activation="quick_gelu" if config.get("quick_gelu") else "gelu",
    )


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _changes_nothing(name: str, value: object, tower: Mapping[str, Any]) -> bool:
    of_absent_timm = name.startswith("timm_") and not tower.get("timm_model_name")
    of_absent_hub = name.startswith("hf_") and not (tower.get("hf_model_name") or tower.get("hf_tokenizer_name"))
    is_harmless = name in _WITHOUT_EFFECT or of_absent_timm or of_absent_hub
    return is_harmless or not value or value in _AS_IN_CLIP.get(name, ())


def _check_shapes(weights: Mapping[str, Tensor], config: ViCLIPConfig, path: Path) -> None:
    """Raises ValueError for weights that are not those of the configuration."""
    with torch.device("meta"):
        expected = ViCLIP(config).state_dict()
    problems = ("are missing", "are of no CLIP", "have other shapes than the configuration says")
    for problem, names in zip(problems, misfits(expected, weights), strict=True):
        if names:
            raise ValueError(f"{path} cannot become a ViCLIP: {first_names(names)} {problem}")
