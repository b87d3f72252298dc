"""Starts from a CLIP in open_clip's own layout: both towers as `transformers` computes them, and as open_clip does."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize

from internvid.viclip.initial_clip import initial_clip, initial_tokenizer
from internvid.viclip.model import ViCLIP
from internvid.viclip.tokenizer import Tokenizer
from internvid.viclip.weights import TEMPORAL, load_into

CONFIG: dict[str, Any] = {
    "embed_dim": 20,
    "vision_cfg": {"image_size": 48, "layers": 3, "width": 128, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 99, "width": 32, "heads": 4, "layers": 2},
}
WEIGHTS, SETTINGS = "open_clip_model.safetensors", "open_clip_config.json"


def write(folder: Path, weights: dict[str, Tensor], **changes: Any) -> Path:
    """changes: of the model's settings; those of a tower are added to its own."""
    folder.mkdir(exist_ok=True)
    added = {key: CONFIG[key] | value if key in ("vision_cfg", "text_cfg") else value for key, value in changes.items()}
    (folder / SETTINGS).write_text(json.dumps({"model_cfg": CONFIG | added, "preprocess_cfg": {"mean": [0.5] * 3}}))
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / WEIGHTS)
    return folder


def clip_of_transformers(activation: str) -> Any:
    torch.manual_seed(0)
    vision, text = CONFIG["vision_cfg"], CONFIG["text_cfg"]
    clip = transformers.CLIPModel(
        transformers.CLIPConfig(
            vision_config={
                **{"hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 2, "hidden_act": activation},
                **{"num_hidden_layers": vision["layers"], "image_size": 48, "patch_size": 16},
            },
            text_config={
                **{"hidden_size": 32, "intermediate_size": 128, "num_attention_heads": 4, "hidden_act": activation},
                **{"num_hidden_layers": text["layers"], "vocab_size": 99, "eos_token_id": 98, "bos_token_id": 97},
            },
            projection_dim=20,
        )
    )
    for parameter in clip.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    clip.logit_scale.data.fill_(2.0)
    return clip.eval()


def in_open_clips_names(clip: Any) -> dict[str, Tensor]:
    """The weights of a CLIP of `transformers` under the names, and in the shapes, that open_clip gives them."""
    given = clip.state_dict()
    weights = {
        "logit_scale": given["logit_scale"],
        "text_projection": given["text_projection.weight"].T,
        "positional_embedding": given["text_model.embeddings.position_embedding.weight"],
        "token_embedding.weight": given["text_model.embeddings.token_embedding.weight"],
        "visual.proj": given["visual_projection.weight"].T,
        "visual.class_embedding": given["vision_model.embeddings.class_embedding"],
        "visual.positional_embedding": given["vision_model.embeddings.position_embedding.weight"],
        "visual.conv1.weight": given["vision_model.embeddings.patch_embedding.weight"],
    }
    renamed = {
        "vision_model.pre_layrnorm": "visual.ln_pre",
        "vision_model.post_layernorm": "visual.ln_post",
        "text_model.final_layer_norm": "ln_final",
        **{f"vision_model.encoder.layers.{layer}": f"visual.transformer.resblocks.{layer}" for layer in range(3)},
        **{f"text_model.encoder.layers.{layer}": f"transformer.resblocks.{layer}" for layer in range(2)},
    }
    inside = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    inside["self_attn.out_proj"] = "attn.out_proj"
    for old, new in renamed.items():
        for kind in ("weight", "bias"):
            if ".layers." not in old:
                weights[f"{new}.{kind}"] = given[f"{old}.{kind}"]
                continue
            weights |= {f"{new}.{to}.{kind}": given[f"{old}.{name}.{kind}"] for name, to in inside.items()}
            weights[f"{new}.attn.in_proj_{kind}"] = torch.cat(
                [given[f"{old}.self_attn.{letter}_proj.{kind}"] for letter in "qkv"]
            )
    return {name: value.detach().clone() for name, value in weights.items()}


def started(folder: Path) -> ViCLIP:
    config, weights = initial_clip(folder)
    model = ViCLIP(config).eval()
    load_into(model, weights)
    return model


def pictures() -> Tensor:
    return torch.randn(3, 3, 48, 48, generator=torch.Generator().manual_seed(0))


def token_ids() -> Tensor:
    ids = torch.randint(3, 97, (3, 32), generator=torch.Generator().manual_seed(1))
    ids[:, 0] = 97
    for row, end in enumerate((5, 16, 31)):
        ids[row, end], ids[row, end + 1 :] = 98, 0
    return ids


@pytest.mark.parametrize(
    ("activation", "prefix", "changes"),
    [
        ("gelu", "", {}),
        ("quick_gelu", "", {"quick_gelu": True}),
        ("gelu", "text.", {"custom_text": True, "vision_cfg": {"patch_dropout": 0.5, "timm_pool": "avg"}}),
    ],
)
@torch.inference_mode()
def test_both_towers_are_those_of_the_same_clip_in_transformers(tmp_path, activation, prefix, changes):
    clip = clip_of_transformers(activation)
    weights = {
        name if name.startswith(("visual.", "logit_scale")) else prefix + name: value
        for name, value in in_open_clips_names(clip).items()
    }
    model = started(write(tmp_path / "clip", weights, **changes))
    assert (model.config.activation, model.config.context_length, model.config.frames) == (activation, 32, 8)
    images = clip.visual_projection(clip.vision_model(pixel_values=pictures()).pooler_output)
    texts = clip.text_projection(clip.text_model(input_ids=token_ids()).pooler_output)
    assert images.abs().max() > 0.2
    torch.testing.assert_close(model.encode_video(pictures()[:, None]), images, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.encode_text(token_ids()), texts, atol=1e-5, rtol=0)
    state = model.state_dict()
    assert state["temp"].item() == pytest.approx(np.exp(-2.0))
    assert not state[TEMPORAL].any()


@torch.inference_mode()
def test_both_towers_are_those_of_open_clip_itself(tmp_path):
    open_clip = pytest.importorskip("open_clip", reason="the extra `open-clip` is not installed")
    (tmp_path / "start_of_training.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(tmp_path / "start_of_training.json")
    torch.manual_seed(0)
    clip = open_clip.create_model("start_of_training").eval()
    for parameter in clip.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    model = started(write(tmp_path / "clip", clip.state_dict()))
    frames = pictures()[:, None]
    torch.testing.assert_close(model.encode_video(frames), clip.encode_image(pictures()), atol=1e-5, rtol=0)
    padded = torch.nn.functional.pad(token_ids(), (0, 77 - 32))
    torch.testing.assert_close(
        normalize(model.encode_text(token_ids())), normalize(clip.encode_text(padded)), atol=1e-5, rtol=0
    )
    # Its package brings CLIP's list of merges, which its folders do not.
    tokenizer = initial_tokenizer(tmp_path / "clip", context_length=32)
    texts = ["a dog runs", "two cats' café"]
    assert torch.equal(tokenizer(texts), open_clip.SimpleTokenizer(context_length=32)(texts))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vision_cfg": {"timm_model_name": "vit_pe_core_tiny_patch16_384"}}, "vision_cfg.timm_model_name = 'vit_pe"),
        ({"vision_cfg": {"layers": [3, 4, 6, 3]}}, r"vision_cfg.layers = \[3, 4, 6, 3\]"),
        ({"vision_cfg": {"mlp_ratio": 4.9}}, r"vision_cfg.mlp_ratio = 4\.9"),
        ({"vision_cfg": {"pool_type": "avg"}}, "vision_cfg.pool_type = 'avg'"),
        ({"vision_cfg": {"norm_kwargs": {"eps": 1e-6}}}, "vision_cfg.norm_kwargs"),
        ({"text_cfg": {"hf_model_name": "somebody/text"}}, "text_cfg.hf_model_name = 'somebody/text'"),
        ({"text_cfg": {"no_causal_mask": True}}, "text_cfg.no_causal_mask = True"),
        ({"multimodal_cfg": {"width": 8}}, "multimodal_cfg"),
        ({"embed_dim": None}, "embed_dim = None"),
        ({"embed_dim": 24}, "visual_encoder|proj, .*have other shapes"),
        ({"text_cfg": {"layers": 3}}, "text_encoder.transformer.resblocks.2.* and 7 more are missing"),
        ({"text_cfg": {"layers": 1}}, "text_encoder.transformer.resblocks.1.* are of no CLIP"),
    ],
)
def test_a_model_that_the_network_cannot_represent_is_refused_by_its_setting(tmp_path, changes, message):
    folder = write(tmp_path / "clip", in_open_clips_names(clip_of_transformers("gelu")), **changes)
    with pytest.raises(ValueError, match=message):
        initial_clip(folder)


def test_a_folder_without_weights_in_safetensors_or_without_a_clip_is_named(tmp_path):
    folder = write(tmp_path / "clip", in_open_clips_names(clip_of_transformers("gelu")))
    parts = load_file(folder / WEIGHTS)
    del parts["logit_scale"]
    save_file(parts, folder / WEIGHTS)
    with pytest.raises(ValueError, match="is no CLIP: logit_scale is missing"):
        initial_clip(folder)
    (folder / WEIGHTS).rename(folder / "open_clip_pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="no weights as safetensors"):
        initial_clip(folder)


def test_its_tokenizer_is_the_one_beside_it(tmp_path):
    folder = write(tmp_path / "clip", in_open_clips_names(clip_of_transformers("gelu")))
    texts = ["a dog runs", "dogs run and run"]
    own = Tokenizer.trained_on(texts * 3, vocab_size=520)
    merges = [f"{left}a {left}b" for left in "xyz"]  # of another vocabulary, so that the two files differ
    with gzip.open(folder / "bpe_simple_vocab_16e6.txt.gz", "wt") as file:
        file.write("\n".join(["#version", *merges]))
    with pytest.raises(ValueError, match="merges"):
        initial_tokenizer(folder, context_length=32)
    own.save(folder)
    assert torch.equal(initial_tokenizer(folder, context_length=32)(texts), own(texts))
