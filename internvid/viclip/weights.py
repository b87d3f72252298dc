"""Weights of ViCLIP, by parameter name in the released layout: read from files, made from CLIP, fitted, averaged.

Everything here is dict[str, Tensor]; `checkpoint` puts them together with what else a model needs.
"""

from __future__ import annotations

import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from internvid.viclip.config import ViCLIPConfig

TEMPORAL = "vision_encoder.temporal_positional_embedding"  # [1, frames, width]
SPATIAL = "vision_encoder.positional_embedding"  # [1 + patches of a frame, width], the class token's first
TEXT_POSITIONS = "text_encoder.positional_embedding"  # [tokens, width]

RELEASED_HEAD_WIDTH = 64  # of CLIP's towers, whatever their size
CONTEXT_LENGTH = 32  # tokens that ViCLIP keeps of CLIP's 77
FRAMES = 8

# Where training checkpoints keep the model's weights.
MODEL_KEYS = ("model", "state_dict", "module")
# What wrappers put before each name: torch's data parallelism, and its compiler.
WRAPPERS = ("module.", "_orig_mod.")


# Reading


def read_weights(path: Path) -> dict[str, Tensor]:
    """The model's weights of a .safetensors or a torch.save file (.pth, .pt, .bin), told apart by content.

    Of a training checkpoint only the model is read. Runs no code that the file carries: what it names beyond tensors
    and plain containers is left out, and a file that names functions of Python itself is refused.
    Raises FileNotFoundError, and ValueError naming the file and what is wrong with it.
    """
    path = Path(path)
    with path.open("rb") as file:
        start = file.read(9)
    if start[:4] == b"PK\x03\x04" or start[:1] == b"\x80":
        return _model_weights(_unpickled(path), path)
    if start[8:] != b"{":
        raise ValueError(f"{path} is neither a safetensors nor a torch.save file: it begins with {start!r}")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error


def _unpickled(path: Path) -> Any:
    is_zip = zipfile.is_zipfile(path)
    try:
        if is_zip and _is_program(path):
            raise _Refused("a TorchScript program")
        # mmap: what is not of the model, as an optimizer's state, is never read.
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=_RESTRICTED, mmap=is_zip)
    except _Refused as refusal:
        raise ValueError(
            f"{path} was not loaded: it names {refusal}, which no weights need and which loading could run. Nothing of "
            "it was run. Take the file from its original source, or ask whoever made it for safetensors"
        ) from None
    except _DAMAGED as error:
        raise ValueError(f"{path} is damaged, or no torch.save file: {type(error).__name__} {error}") from error


# What a pickle or an archive with wrong bytes in it can raise.
_DAMAGED = (
    *(RuntimeError, LookupError, TypeError, ValueError, AttributeError, AssertionError, OverflowError),
    *(EOFError, OSError, pickle.UnpicklingError, zipfile.BadZipFile),
)


def _is_program(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


class _Refused(Exception):
    """The name that a pickle must not have."""


class _Inert:
    """Stands for an object of a class that is not loaded. Takes what unpickling gives it, and keeps nothing."""

    def __new__(cls, *_arguments: Any, **_named: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_arguments: Any, **_named: Any) -> None: ...

    def __call__(self, *_arguments: Any, **_named: Any) -> _Inert:
        return _Inert()

    def __setstate__(self, _state: Any) -> None: ...

    def __setitem__(self, _key: Any, _value: Any) -> None: ...

    def append(self, _value: Any) -> None: ...

    def extend(self, _values: Any) -> None: ...


# All that weights are made of: nothing here runs anything that it is given.
_TENSORS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("torch.storage", "UntypedStorage"): torch.UntypedStorage,
}
_CONTAINERS = {"set": set, "frozenset": frozenset, "list": list, "dict": dict, "tuple": tuple}
# torch.save writes modules under the names that they had in Python 2.
_OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
# Of Python's own, what checkpoints hold beside weights: configurations, paths, times, and how objects are put together.
_HARMLESS = {
    ("argparse", "Namespace"),
    ("collections", "defaultdict"),
    ("collections", "Counter"),
    ("collections", "deque"),
    ("copyreg", "_reconstructor"),
    ("copyreg", "__newobj__"),
    ("_codecs", "encode"),
    *(
        ("builtins", name)
        for name in ("object", "int", "float", "complex", "bool", "str", "bytearray", "slice", "range")
    ),
    ("types", "SimpleNamespace"),
    ("datetime", "datetime"),
    ("datetime", "timedelta"),
    ("pathlib", "PosixPath"),
    ("pathlib", "WindowsPath"),
    ("pathlib", "Path"),
    ("pathlib", "PurePosixPath"),
    ("pathlib._local", "PosixPath"),
    ("uuid", "UUID"),
}


class _Unpickler(pickle.Unpickler):
    """Knows tensors and plain containers. All else it makes inert, and imports nothing for it.

    So safety does not hang on the refusal of Python's own functions: that tells a user what kind of file it is.
    """

    def find_class(self, module: str, name: str) -> Any:
        module = _OLD_MODULES.get(module, module)
        if (module, name) in _TENSORS:
            return _TENSORS[module, name]
        if module == "builtins" and name in _CONTAINERS:
            return _CONTAINERS[name]
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        is_pythons = module.partition(".")[0] in sys.stdlib_module_names
        if is_pythons and (module, name) not in _HARMLESS:
            raise _Refused(f"{module}.{name}")
        return type(name.rpartition(".")[2], (_Inert,), {"__module__": module})


def _load(file: Any, **options: Any) -> Any:
    return _Unpickler(file, **options).load()


# What torch.load wants of a pickle module.
_RESTRICTED = types.SimpleNamespace(Unpickler=_Unpickler, load=_load, __name__="restricted pickle")


def _model_weights(loaded: Any, path: Path) -> dict[str, Tensor]:
    """The model's weights of an unpickled file, under the names that the model itself has for them."""
    held = loaded
    for key in MODEL_KEYS:
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
            break
    if not isinstance(held, Mapping) or not any(isinstance(value, Tensor) for value in held.values()):
        holds = f"the keys {', '.join(map(str, list(held)[:8]))}" if isinstance(held, Mapping) else type(held).__name__
        raise ValueError(f"{path} holds no weights: it is {holds}")
    # Of a memory-mapped file: a copy stays what it is when the file changes.
    weights = {str(name): value.detach().clone() for name, value in held.items() if isinstance(value, Tensor)}
    for wrapper in WRAPPERS:
        if all(name.startswith(wrapper) for name in weights):
            weights = {name.removeprefix(wrapper): value for name, value in weights.items()}
    return weights


# Into a model


def load_into(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copies the weights into the model, all of them and exactly.

    Raises ValueError that says which are missing, which the model does not have, and which differ in shape; the model
    is then as it was.
    """
    wanted = model.state_dict()
    wrong = [
        ("missing", [name for name in wanted if name not in weights]),
        ("not of this model", [name for name in weights if name not in wanted]),
        (
            "of another shape",
            [
                f"{name} {list(weights[name].shape)} instead of {list(wanted[name].shape)}"
                for name in wanted
                if name in weights and weights[name].shape != wanted[name].shape
            ],
        ),
    ]
    if any(names for _, names in wrong):
        told = "; ".join(f"{len(names)} {what}: {_some(names)}" for what, names in wrong if names)
        raise ValueError(f"these weights are not the model's: {told}")
    model.load_state_dict(dict(weights))


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def config_of(
    weights: Mapping[str, Tensor], *, vision_heads: int | None = None, text_heads: int | None = None
) -> ViCLIPConfig:
    """The sizes that the weights' shapes tell. Heads leave no trace in them: by default one for every 64 of width.

    Raises ValueError where the weights are not those of a ViCLIP.
    """
    try:
        width, _, _, patch_size, _ = weights["vision_encoder.conv1.weight"].shape
        text_width = weights["text_encoder.token_embedding.weight"].shape[1]
        rows = round((len(weights[SPATIAL]) - 1) ** 0.5)
        if rows * rows + 1 != len(weights[SPATIAL]):
            raise ValueError(f"{SPATIAL} has {len(weights[SPATIAL])} rows, which is no square and a class token")
        return ViCLIPConfig(
            image_size=rows * patch_size,
            patch_size=patch_size,
            vision_width=width,
            vision_layers=_layers(weights, "vision"),
            vision_heads=vision_heads or max(width // RELEASED_HEAD_WIDTH, 1),
            text_width=text_width,
            text_layers=_layers(weights, "text"),
            text_heads=text_heads or max(text_width // RELEASED_HEAD_WIDTH, 1),
            embed_dim=weights["vision_encoder.proj"].shape[1],
            vocab_size=len(weights["text_encoder.token_embedding.weight"]),
            context_length=len(weights[TEXT_POSITIONS]),
            frames=weights[TEMPORAL].shape[1],
        )
    except KeyError as error:
        raise ValueError(f"these are not the weights of a ViCLIP: {error.args[0]} is missing") from error


def _layers(weights: Iterable[str], tower: str) -> int:
    start = f"{tower}_encoder.transformer.resblocks."
    return len({name.removeprefix(start).partition(".")[0] for name in weights if name.startswith(start)})


def fit(weights: Mapping[str, Tensor], config: ViCLIPConfig) -> dict[str, Tensor]:
    """The weights with their positions as the config has them: frames, pixels and tokens may differ.

    Frames are interpolated linearly, positions in the picture bicubically, positions in the text cut. Raises
    ValueError for more text positions than there are, which nothing tells how to make.
    """
    fitted = dict(weights)
    times, places, tokens = weights[TEMPORAL], weights[SPATIAL], weights[TEXT_POSITIONS]
    if times.shape[1] != config.frames:
        # [1, width, frames], which interpolation takes
        longer = functional.interpolate(times.transpose(1, 2).float(), size=config.frames, mode="linear")
        fitted[TEMPORAL] = longer.transpose(1, 2).to(times.dtype).contiguous()
    if len(places) != 1 + config.patches_per_frame:
        rows, wanted = round((len(places) - 1) ** 0.5), round(config.patches_per_frame**0.5)
        grid = places[1:].float().T.reshape(1, -1, rows, rows)
        resized = functional.interpolate(grid, size=(wanted, wanted), mode="bicubic", antialias=True)
        fitted[SPATIAL] = torch.cat([places[:1], resized.flatten(2)[0].T.to(places.dtype)])
    if len(tokens) < config.context_length:
        raise ValueError(f"texts of {config.context_length} tokens are wanted, and the weights know {len(tokens)}")
    fitted[TEXT_POSITIONS] = tokens[: config.context_length].clone()
    return fitted


# Where training starts, and what it ends in


def from_clip(folder_or_id: Path | str) -> tuple[ViCLIPConfig, dict[str, Tensor]]:
    """A ViCLIP that begins as a CLIP of `transformers`, by folder or hub id: of one frame it sees what CLIP sees.

    The convolution is inflated to one frame of time, of the text positions the first 32 are kept, the temporal
    embedding is zero, the temperature is CLIP's, though not below 0.01.
    Raises OSError where there is no such checkpoint, ValueError for one that ViCLIP's network cannot represent.
    """
    from transformers import AutoConfig, CLIPModel  # slow to import

    clip_config = AutoConfig.from_pretrained(str(folder_or_id))
    if clip_config.model_type != "clip":
        raise ValueError(f"{folder_or_id} is a {clip_config.model_type} model, not CLIP")
    _check_representable(clip_config, folder_or_id)
    loaded: Any = CLIPModel.from_pretrained(str(folder_or_id), dtype=torch.float32, output_loading_info=True)
    clip, loading = loaded
    if loading["missing_keys"]:
        raise ValueError(f"{folder_or_id} is not a whole CLIP: {_some(sorted(loading['missing_keys']))} are missing")

    theirs = clip.state_dict()
    vision, text = clip_config.vision_config, clip_config.text_config
    context_length = min(CONTEXT_LENGTH, text.max_position_embeddings)
    config = ViCLIPConfig(
        image_size=vision.image_size,
        patch_size=vision.patch_size,
        vision_width=vision.hidden_size,
        vision_layers=vision.num_hidden_layers,
        vision_heads=vision.num_attention_heads,
        text_width=text.hidden_size,
        text_layers=text.num_hidden_layers,
        text_heads=text.num_attention_heads,
        embed_dim=clip_config.projection_dim,
        vocab_size=text.vocab_size,
        context_length=context_length,
        frames=FRAMES,
    )
    weights = {
        "temp": (-theirs["logit_scale"]).exp().clamp(min=0.01),
        "vision_encoder.class_embedding": theirs["vision_model.embeddings.class_embedding"],
        SPATIAL: theirs["vision_model.embeddings.position_embedding.weight"],
        TEMPORAL: torch.zeros(1, FRAMES, vision.hidden_size),
        "vision_encoder.conv1.weight": theirs["vision_model.embeddings.patch_embedding.weight"].unsqueeze(2),
        "vision_encoder.proj": theirs["visual_projection.weight"].T,
        "text_encoder.token_embedding.weight": theirs["text_model.embeddings.token_embedding.weight"],
        TEXT_POSITIONS: theirs["text_model.embeddings.position_embedding.weight"][:context_length],
        "text_encoder.text_projection": theirs["text_projection.weight"].T,
    }
    # "pre_layrnorm" is how transformers spells it.
    for ours, its in (
        ("vision_encoder.ln_pre", "vision_model.pre_layrnorm"),
        ("vision_encoder.ln_post", "vision_model.post_layernorm"),
        ("text_encoder.ln_final", "text_model.final_layer_norm"),
    ):
        weights |= {f"{ours}.{part}": theirs[f"{its}.{part}"] for part in ("weight", "bias")}
    for tower, layers in (("vision", config.vision_layers), ("text", config.text_layers)):
        for layer in range(layers):
            block = _block(theirs, f"{tower}_model.encoder.layers.{layer}.")
            weights |= {f"{tower}_encoder.transformer.resblocks.{layer}.{name}": value for name, value in block.items()}
    return config, {name: value.detach().clone().contiguous() for name, value in weights.items()}


def _block(theirs: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    """One transformer block of CLIP under the names of ViCLIP's, whose attention has its three matrices in one."""
    block = {}
    for part in ("weight", "bias"):
        block[f"attn.in_proj_{part}"] = torch.cat([theirs[f"{start}self_attn.{which}_proj.{part}"] for which in "qkv"])
        block[f"attn.out_proj.{part}"] = theirs[f"{start}self_attn.out_proj.{part}"]
        block[f"ln_1.{part}"] = theirs[f"{start}layer_norm1.{part}"]
        block[f"ln_2.{part}"] = theirs[f"{start}layer_norm2.{part}"]
        block[f"mlp.c_fc.{part}"] = theirs[f"{start}mlp.fc1.{part}"]
        block[f"mlp.c_proj.{part}"] = theirs[f"{start}mlp.fc2.{part}"]
    return block


def _check_representable(clip_config: Any, name: Path | str) -> None:
    """Raises ValueError for what the network computes otherwise, and would load without a word."""
    text = clip_config.text_config
    wrong = []
    for tower, config in (("vision", clip_config.vision_config), ("text", text)):
        if config.hidden_act != "quick_gelu":
            wrong.append(f"the {tower} tower's activation is {config.hidden_act}, and ViCLIP's is quick_gelu")
        if config.layer_norm_eps != 1e-5:
            wrong.append(f"the {tower} tower normalises with eps {config.layer_norm_eps}, and ViCLIP with 1e-05")
        if config.intermediate_size != 4 * config.hidden_size:
            wrong.append(
                f"the {tower} tower's feed-forward layers are {config.intermediate_size} wide, "
                f"not 4 times {config.hidden_size}"
            )
    if clip_config.vision_config.num_channels != 3:
        wrong.append(f"its pictures have {clip_config.vision_config.num_channels} channels, not 3")
    # 2 is what old configurations of CLIP say; transformers then pools at the largest id, as ViCLIP does.
    if text.eos_token_id not in (2, text.vocab_size - 1):
        wrong.append(f"its end token {text.eos_token_id} is not the largest of {text.vocab_size}, where ViCLIP pools")
    if wrong:
        raise ValueError(f"{name} cannot become a ViCLIP: {'; '.join(wrong)}")


def average(trained: Mapping[str, Tensor], initial: Mapping[str, Tensor], *, share: float = 0.5) -> dict[str, Tensor]:
    """Weight-space ensemble of a trained model with what it started from (WiSE-FT, arXiv 2109.01903).

    share: of the trained weights. What only the trained model has stays as it is, and so does the temporal embedding:
    the initial one never learnt of time. Raises ValueError for shares outside 0..1, and for models of other shapes.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"{share} is no share of the trained weights")
    averaged = {}
    for name, value in trained.items():
        before = initial.get(name)
        if before is None or name == TEMPORAL:
            averaged[name] = value.clone()
        elif before.shape != value.shape:
            raise ValueError(f"{name} was trained as {list(value.shape)}, and began as {list(before.shape)}")
        else:
            averaged[name] = torch.lerp(before.float(), value.float(), share).to(value.dtype)
    return averaged
