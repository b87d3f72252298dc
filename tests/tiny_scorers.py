"""Models that score pictures, of the real classes and a thousandth of their size, with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers.pre_tokenizers import ByteLevel

WIDTH = 16  # of a CLIP's vectors
PLACES = 24  # tokens that its text tower reads
SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}


def tiny_clip(folder: Path, *, seed: int = 0, width: int = WIDTH) -> Path:
    """A CLIP that reads letter by letter."""
    tokenizer = letters()
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = transformers.CLIPTextConfig(vocab_size=len(tokenizer), max_position_embeddings=PLACES, **ends, **SMALL)
    vision = transformers.CLIPVisionConfig(image_size=32, patch_size=8, **SMALL)
    torch.manual_seed(seed)
    model = transformers.CLIPModel(
        transformers.CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=width)
    )
    model.save_pretrained(folder)
    transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_siglip(folder: Path) -> Path:
    tokenizer = letters()
    text = transformers.SiglipTextConfig(
        vocab_size=len(tokenizer), max_position_embeddings=PLACES, projection_size=32, **SMALL
    )
    vision = transformers.SiglipVisionConfig(image_size=32, patch_size=8, **SMALL)
    torch.manual_seed(0)
    transformers.SiglipModel(
        transformers.SiglipConfig(text_config=text.to_dict(), vision_config=vision.to_dict())
    ).save_pretrained(folder)
    transformers.SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_classifier(folder: Path, *labels: str, problem_type: str | None = None) -> Path:
    """A ViT whose answers differ much from picture to picture."""
    config = transformers.ViTConfig(
        image_size=32, patch_size=8, id2label=dict(enumerate(labels)), problem_type=problem_type, **SMALL
    )
    torch.manual_seed(0)
    model = transformers.ViTForImageClassification(config)
    torch.nn.init.normal_(model.classifier.weight)
    model.save_pretrained(folder)
    transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def random_head(file: Path, *, seed: int = 0, width: int = WIDTH) -> tuple[np.ndarray, float]:
    """Writes a head as LAION's is written, and returns its weight, [width], and bias."""
    torch.manual_seed(seed)
    layer = torch.nn.Linear(width, 1)
    torch.nn.init.normal_(layer.weight, std=5)
    torch.save(layer.state_dict(), file)
    return layer.weight[0].detach().numpy(), layer.bias.item()


def picture(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """[height, width, 3] uint8 RGB: patches of random colours, others with every seed."""
    patches = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.kron(patches, np.ones((-(-height // 4), -(-width // 4), 1), np.uint8))[:height, :width]


def letters() -> transformers.CLIPTokenizer:
    alphabet = sorted(ByteLevel.alphabet())
    words = [*alphabet, *(f"{letter}</w>" for letter in alphabet), "<|startoftext|>", "<|endoftext|>"]
    return transformers.CLIPTokenizer(vocab={word: at for at, word in enumerate(words)}, merges=[])
