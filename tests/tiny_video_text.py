"""Video-text models of others, of the real classes with random weights, small enough for a test."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from tiny_scorers import PLACES, SMALL, letters

from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.model import ViCLIP

FRAMES = 4


def tiny_x_clip(folder: Path) -> Path:
    tokenizer = letters()
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = transformers.XCLIPTextConfig(vocab_size=len(tokenizer), max_position_embeddings=PLACES, **ends, **SMALL)
    vision = transformers.XCLIPVisionConfig(
        image_size=32,
        patch_size=8,
        num_frames=FRAMES,
        mit_hidden_size=16,
        mit_intermediate_size=32,
        mit_num_hidden_layers=1,
        mit_num_attention_heads=2,
        **SMALL,
    )
    torch.manual_seed(0)
    config = transformers.XCLIPConfig(
        text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=16, prompt_num_attention_heads=2
    )
    transformers.XCLIPModel(config).save_pretrained(folder)
    transformers.VideoMAEImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_siglip_2(folder: Path) -> Path:
    """SigLIP 2 of any aspect: pictures are cut into patches by its processor."""
    tokenizer = letters()
    text = transformers.Siglip2TextConfig(
        vocab_size=len(tokenizer), max_position_embeddings=PLACES, projection_size=32, **SMALL
    )
    vision = transformers.Siglip2VisionConfig(patch_size=8, num_patches=16, **SMALL)
    torch.manual_seed(0)
    transformers.Siglip2Model(
        transformers.Siglip2Config(text_config=text.to_dict(), vision_config=vision.to_dict())
    ).save_pretrained(folder)
    transformers.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


VICLIP = ViCLIPConfig(
    image_size=32,
    patch_size=8,
    vision_width=64,
    vision_layers=2,
    vision_heads=1,
    text_width=64,
    text_layers=1,
    text_heads=1,
    embed_dim=16,
    vocab_size=514,
    context_length=77,
    frames=8,
)


def tiny_transformers_viclip(folder: Path) -> tuple[Path, ViCLIP]:
    """A ViCLIP with the files of a folder of `transformers`: its own code, CLIP's 77 tokens, constants, and no
    temperature. The weights have the released names.
    """
    folder.mkdir(parents=True)
    tokenizer = letters()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    model = ViCLIP(VICLIP)
    weights = {name: value for name, value in model.state_dict().items() if name != "temp"}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = {"model_type": "viclip", "architectures": ["ViCLIP"], "auto_map": {"AutoModel": "viclip.ViCLIP"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "viclip.py").write_text("raise SystemExit('foreign code was run')")
    transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    return folder, model
