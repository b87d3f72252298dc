"""Models that look at pictures and write, of the real classes and with random weights, as their makers' folders hold
them: weights, settings, tokeniser, image processor. The weights are large enough that what is said depends on what is
seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = [
    "a", "the", "of", "in", "on", "photo", "picture", "man", "woman", "child", "dog", "cat", "bird", "horse",
    "car", "boat", "session", "tree", "river", "table", "stove", "pan", "knife", "red", "green", "blue", "yellow",
    "white", "black", "big", "small", "old", "new", "cooks", "walks", "runs", "stands", "sits", "holds", "looks",
    "jumps", "sleeps", "plays",
]  # fmt: skip
SIDE = 32  # pixels of a picture as the models look at it
CHAT = """{%- for message in messages %}<|im_start|>{{ message['role'] }} {% for part in message['content'] -%}
{%- if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %} {% endfor %}<|im_end|> {% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant{% if enable_thinking is defined %} thinks{% endif %}{% endif %}"""


def blip(folder: Path) -> Path:
    tokenizer = _bert_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["[DEC]"]})
    config = transformers.BlipConfig(
        text_config={
            **_sizes(hidden_size=32, num_attention_heads=4),
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 64,
            "bos_token_id": tokenizer.convert_tokens_to_ids("[DEC]"),
            "sep_token_id": tokenizer.sep_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config=_vision(),
    )
    return _saved(
        folder,
        transformers.BlipForConditionalGeneration(config),
        tokenizer,
        transformers.BlipImageProcessorPil(size=_square()),
    )


def blip_2(folder: Path) -> Path:
    tokenizer = _word_tokenizer(bos="</s>", eos="</s>", pad="<pad>", others=["<image>"])
    vision = _vision()
    config = transformers.Blip2Config(
        vision_config=vision,
        qformer_config={
            **_sizes(hidden_size=32, num_attention_heads=4),
            "vocab_size": len(tokenizer),
            "encoder_hidden_size": vision["hidden_size"],
        },
        text_config=transformers.OPTConfig(
            hidden_size=32,
            ffn_dim=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            vocab_size=len(tokenizer),
            word_embed_proj_dim=32,
            max_position_embeddings=128,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        ).to_dict(),
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    settings = {"processor_class": "Blip2Processor", "num_query_tokens": 4}
    model = transformers.Blip2ForConditionalGeneration(config)
    return _saved(folder, model, tokenizer, transformers.BlipImageProcessorPil(size=_square()), settings)


def git(folder: Path) -> Path:
    tokenizer = _bert_tokenizer()
    config = transformers.GitConfig(
        **_sizes(hidden_size=32, num_attention_heads=4),
        vision_config=_vision(),
        vocab_size=len(tokenizer),
        max_position_embeddings=128,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    images = transformers.CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=_square())
    return _saved(folder, transformers.GitForCausalLM(config), tokenizer, images)


def florence_2(folder: Path) -> Path:
    tokenizer = _word_tokenizer(
        bos="<s>", eos="</s>", pad="<pad>", others=["<image>"], named={"image_token": "<image>"}
    )
    config = transformers.Florence2Config(
        vision_config={
            "depths": (1,),
            "patch_size": (7,),
            "patch_stride": (4,),
            "patch_padding": (3,),
            "patch_prenorm": (False,),
            "embed_dim": (32,),
            "num_heads": (4,),
            "num_groups": (4,),
            "window_size": 4,
            "projection_dim": 32,
            "drop_path_rate": 0.0,
        },
        text_config=transformers.BartConfig(
            d_model=32,
            encoder_layers=1,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            vocab_size=len(tokenizer),
            max_position_embeddings=128,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            decoder_start_token_id=tokenizer.eos_token_id,
            forced_bos_token_id=tokenizer.bos_token_id,
            forced_eos_token_id=tokenizer.eos_token_id,
        ).to_dict(),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    images = transformers.CLIPImageProcessorPil(size=_square(), do_center_crop=False)
    images.image_seq_length = (SIDE // 4) ** 2 + 1  # patches, and their mean
    return _saved(folder, transformers.Florence2ForConditionalGeneration(config), tokenizer, images)


def qwen_2_5_vl(folder: Path) -> Path:
    tokenizer = _qwen_tokenizer()
    config = transformers.Qwen2_5_VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 4,
            "patch_size": 4,
            "window_size": 16,
            "out_hidden_size": 32,
            "fullatt_block_indexes": [1],
        },
        text_config=_llm(tokenizer) | {"rope_parameters": _mrope([1, 1, 2])},
        **_qwen_tokens(tokenizer),
    )
    return _qwen(folder, transformers.Qwen2_5_VLForConditionalGeneration(config), tokenizer, patch=4)


def qwen_3_vl(folder: Path) -> Path:
    tokenizer = _qwen_tokenizer()
    config = transformers.Qwen3VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 4,
            "patch_size": 4,
            "out_hidden_size": 32,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        text_config=_llm(tokenizer)
        | {"head_dim": 8, "rope_parameters": _mrope([2, 1, 1]) | {"mrope_interleaved": True}},
        **_qwen_tokens(tokenizer),
    )
    return _qwen(folder, transformers.Qwen3VLForConditionalGeneration(config), tokenizer, patch=4)


def llava(folder: Path) -> Path:
    tokenizer = _word_tokenizer(
        bos="<s>", eos="</s>", pad="<pad>", others=["<image>", "<|im_start|>", "<|im_end|>", "user", "assistant"]
    )
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**_vision()).to_dict(),
        text_config=transformers.LlamaConfig(**_llm(tokenizer)).to_dict(),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=(SIDE // 8) ** 2,
        vision_feature_layer=-1,
    )
    settings = {
        "processor_class": "LlavaProcessor",
        "patch_size": 8,
        "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": "default",
        "image_token": "<image>",
    }
    images = transformers.CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=_square())
    folder = _saved(folder, transformers.LlavaForConditionalGeneration(config), tokenizer, images, settings)
    (folder / "chat_template.jinja").write_text(CHAT.replace("IMAGE", "<image>"))
    return folder


def vit_gpt2(folder: Path) -> Path:
    tokenizer = _word_tokenizer(bos="<|end|>", eos="<|end|>", pad=None, others=[])
    text = transformers.GPT2Config(
        n_embd=32,
        n_layer=2,
        n_head=4,
        vocab_size=len(tokenizer),
        n_positions=64,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        transformers.ViTConfig(**_vision()), text
    )
    config.decoder_start_token_id = tokenizer.bos_token_id
    config.pad_token_id = config.eos_token_id = tokenizer.eos_token_id
    return _saved(
        folder,
        transformers.VisionEncoderDecoderModel(config),
        tokenizer,
        transformers.ViTImageProcessorPil(size=_square()),
    )


CLASSES: dict[str, Callable[[Path], Path]] = {
    made.__name__: made for made in (blip, blip_2, git, florence_2, qwen_2_5_vl, qwen_3_vl, llava, vit_gpt2)
}


# ------------------------------------------------------------------------------------------------------------- parts


def _square() -> dict[str, int]:
    return {"height": SIDE, "width": SIDE}


def _sizes(**more: int) -> dict[str, int]:
    return {"num_hidden_layers": 2, "intermediate_size": 64, **more}


def _vision() -> dict[str, int]:
    return _sizes(hidden_size=32, num_attention_heads=4, image_size=SIDE, patch_size=8)


def _llm(tokenizer: transformers.PreTrainedTokenizerFast) -> dict[str, object]:
    return {
        **_sizes(hidden_size=32, num_attention_heads=4, num_key_value_heads=2),
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 2048,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _mrope(section: list[int]) -> dict[str, object]:
    return {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": section}


def _bert_tokenizer() -> transformers.BertTokenizer:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return transformers.BertTokenizer(vocab={word: at for at, word in enumerate([*special, *WORDS])})


def _word_tokenizer(
    *, bos: str | None, eos: str, pad: str | None, others: list[str], named: dict[str, str] | None = None
) -> transformers.PreTrainedTokenizerFast:
    """others: special tokens beside these; named: those of them that the tokeniser has an attribute for."""
    special = list(dict.fromkeys(token for token in [bos, eos, pad, "<unk>", *others] if token))
    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate([*special, *WORDS])}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="<unk>",
        bos_token=bos,
        eos_token=eos,
        pad_token=pad,
        extra_special_tokens=named or others,
    )


def _qwen_tokenizer() -> transformers.PreTrainedTokenizerFast:
    vision = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    return _word_tokenizer(
        bos=None,
        eos="<|im_end|>",
        pad="<|endoftext|>",
        others=["<|im_start|>", *vision, "user", "assistant", "thinks"],
    )


def _qwen_tokens(tokenizer: transformers.PreTrainedTokenizerFast) -> dict[str, int]:
    tokens = {"image_token": "image_pad", "video_token": "video_pad"} | {
        f"vision_{edge}_token": f"vision_{edge}" for edge in ("start", "end")
    }
    return {f"{name}_id": tokenizer.convert_tokens_to_ids(f"<|{token}|>") for name, token in tokens.items()}


def _qwen(
    folder: Path, model: transformers.PreTrainedModel, tokenizer: transformers.PreTrainedTokenizerFast, *, patch: int
) -> Path:
    """Pictures keep their own size: more pixels, more tokens."""
    images = transformers.Qwen2VLImageProcessorPil(patch_size=patch, min_pixels=16 * 16, max_pixels=40 * 40)
    folder = _saved(folder, model, tokenizer, images)
    template = CHAT.replace("IMAGE", "<|vision_start|> <|image_pad|> <|vision_end|>")
    (folder / "chat_template.jinja").write_text(template)
    return folder


def _saved(
    folder: Path,
    model: transformers.PreTrainedModel,
    tokenizer: transformers.PreTrainedTokenizerFast,
    images: object,
    processor: dict[str, object] | None = None,
) -> Path:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.4, generator=generator)
            elif name.endswith("bias"):
                weight.normal_(0, 0.1, generator=generator)
    ends = {model.generation_config.eos_token_id}
    model.generation_config.suppress_tokens = sorted(
        set(tokenizer.all_special_ids) - ends
    )  # it was never taught not to
    for part in (model, tokenizer, images):
        part.save_pretrained(folder)
    if processor:
        (folder / "processor_config.json").write_text(json.dumps(processor))
    return folder
