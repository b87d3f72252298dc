"""A checkpoint of a chat: a flat folder with all that is needed to talk, but for a language model that stayed frozen.

model.safetensors     ViCLIP's tower, the projector, and what was trained of the language model
config.json           recipe, sizes, preprocessing, and the language model's configuration, or where it is
tokenizer.json, …     as `transformers` writes a tokenizer
receipt.json          how the checkpoint was trained
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoTokenizer

from internvid.dialogue import language_model as language_models
from internvid.dialogue.model import PROJECTORS, MlpProjector, QueryTransformer, VideoChat
from internvid.dialogue.recipe import ChatRecipe
from internvid.hub import HubModel
from internvid.networks.saved_weights import files_digest, load_weights, save_weights, weights_digest
from internvid.report.whole_file import whole_file
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.model import VisionEncoder
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.weights import load_into, require_answers

WEIGHTS, CONFIG, RECEIPT, TOKENIZER = "model.safetensors", "config.json", "receipt.json", "tokenizer.json"
VISION, PROJECTOR, LANGUAGE_MODEL = "vision.", "projector.", "language_model."


@dataclass
class ChatCheckpoint:
    """A model that talks about videos. base: version of the language model's folder; None where it is all in here."""

    model: VideoChat
    tokenizer: Any
    preprocessing: Preprocessing
    recipe: ChatRecipe
    base: str | None = None
    receipt: dict[str, Any] = field(default_factory=dict)


def new_projector(recipe: ChatRecipe, vision_width: int, width: int) -> MlpProjector | QueryTransformer:
    """Returns a projector with random weights, which depend on the recipe's seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return PROJECTORS[recipe.projector.kind](recipe.projector, vision_width, width)


def trained_weights(model: VideoChat, recipe: ChatRecipe, *, with_vision: bool) -> dict[str, Tensor]:
    """Returns the weights of a checkpoint, by name."""
    parts = {
        PROJECTOR: model.projector.state_dict(),
        LANGUAGE_MODEL: language_models.weights_to_save(model.language_model, recipe.trained),
        **({VISION: model.vision.state_dict()} if with_vision else {}),
    }
    return {prefix + name: value for prefix, weights in parts.items() for name, value in weights.items()}


@torch.no_grad()
def load_trained_weights(model: VideoChat, recipe: ChatRecipe, weights: Mapping[str, Tensor]) -> None:
    """Loads the result of `trained_weights`, with the vision tower or without. Raises ValueError if it does not fit."""
    by_part: dict[str, dict[str, Tensor]] = {prefix: {} for prefix in (VISION, PROJECTOR, LANGUAGE_MODEL)}
    for name, value in weights.items():
        prefix = next((prefix for prefix in by_part if name.startswith(prefix)), None)
        if prefix is None:
            raise ValueError(f"{name} is no weight of a chat")
        by_part[prefix][name.removeprefix(prefix)] = value
    load_into(model.projector, by_part[PROJECTOR])
    language_models.load_weights(model.language_model, by_part[LANGUAGE_MODEL], recipe.trained)
    if by_part[VISION]:
        load_into(model.vision, by_part[VISION])


def save_chat(folder: Path, checkpoint: ChatCheckpoint) -> Path:
    """Writes the checkpoint's files, the weights last. If a save over an older checkpoint is interrupted, loading
    raises an error.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model, recipe = checkpoint.model, checkpoint.recipe
    config = {
        "recipe": asdict(recipe),
        "vision": model.vision.config.as_dict(),
        "preprocessing": checkpoint.preprocessing.as_dict(),
        "language_model": (
            language_models.base_config(model.language_model)
            if recipe.trained == "full"
            else {"source": recipe.language_model, "version": checkpoint.base}
        ),
    }
    checkpoint.tokenizer.save_pretrained(folder)
    for name, content in ((CONFIG, config), (RECEIPT, checkpoint.receipt)):
        with whole_file(folder / name) as file:
            file.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    weights = trained_weights(model, recipe, with_vision=True)
    save_weights(
        folder / WEIGHTS, weights, belongs_to=files_digest(folder / CONFIG, folder / TOKENIZER), mode_of=folder / CONFIG
    )
    return folder


def load_chat(folder: Path, device: str | torch.device = "cpu", *, language_model: str | None = None) -> ChatCheckpoint:
    """Loads a folder that `save_chat` wrote, in evaluation mode.

    language_model: folder or hub id in place of the one that the checkpoint names, for a frozen model that was moved.
    Raises FileNotFoundError for missing files, and ValueError for invalid ones, and for another language model.
    """
    folder = Path(folder)
    for name in (WEIGHTS, CONFIG, TOKENIZER):
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder / name} is missing: this is no checkpoint of a chat, or a part of one")
    weights = load_weights(folder / WEIGHTS, belongs_to=files_digest(folder / CONFIG, folder / TOKENIZER))
    require_answers({name: value for name, value in weights.items() if "lora_B" not in name})
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    recipe = ChatRecipe.from_dict(config["recipe"])
    about = config["language_model"]
    base = None
    if recipe.trained == "full":
        causal = language_models.from_config(about)
    else:
        source, base = language_model or about["source"], about["version"]
        if (present := HubModel(source).version.partition("@")[2]) != base.partition("@")[2]:
            raise ValueError(f"{source} is {present}; the checkpoint was trained with the language model {base}")
        dtype = torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
        causal, _ = language_models.pretrained(source, dtype)
        if recipe.lora is not None and recipe.trained == "lora":
            causal = language_models.with_lora(causal, recipe.lora, seed=recipe.seed)
    vision_config = ViCLIPConfig(**config["vision"])
    width = causal.get_input_embeddings().embedding_dim
    model = VideoChat(VisionEncoder(vision_config), new_projector(recipe, vision_config.vision_width, width), causal)
    try:
        load_trained_weights(model, recipe, weights)
    except ValueError as error:
        raise ValueError(f"{folder / WEIGHTS}: {error}") from error
    receipt = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    preprocessing = Preprocessing.from_dict(config["preprocessing"])
    return ChatCheckpoint(model.to(device).eval(), tokenizer, preprocessing, recipe, base, receipt)


def chat_digest(folder: Path) -> str:
    """Returns a hash (32 hex digits) of what decides a checkpoint's answers: weights, configuration and vocabulary.

    Weights are hashed by name, type, shape and value, independent of the file's layout.
    """
    return weights_digest(load_file(folder / WEIGHTS), beside=files_digest(folder / CONFIG, folder / TOKENIZER))
