"""Reads, converts, resizes and averages weights of ViCLIP.

Weights are dict[str, Tensor] with the parameter names of the released checkpoints. `checkpoint` combines them with the
other parts of a model.
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

from internvid.viclip.config import ACTIVATIONS, ViCLIPConfig

TEMPORAL = "vision_encoder.temporal_positional_embedding"  # [1, frames, width]
SPATIAL = "vision_encoder.positional_embedding"  # [1 + patches of a frame, width], the class token first
TEXT_POSITIONS = "text_encoder.positional_embedding"  # [tokens, width]

RELEASED_HEAD_WIDTH = 64  # of CLIP's towers, for all sizes
CONTEXT_LENGTH = 32  # tokens that ViCLIP keeps of CLIP's 77
FRAMES = 8

# Keys that hold the model's weights in training checkpoints.
MODEL_KEYS = ("model", "state_dict", "module")
# Name prefixes of wrappers: torch's data parallelism, and torch.compile.
WRAPPERS = ("module.", "_orig_mod.")


# Reading


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads a model's weights from a .safetensors or a torch.save file (.pth, .pt, .bin), detected by content.

    Of a training checkpoint only the model is read. No code of the file is run: objects other than tensors and plain
    containers are ignored, and a file that refers to functions of Python's standard library is rejected.
    Raises FileNotFoundError, and ValueError naming the file and the problem.
    """
    path = Path(path)
    with path.open("rb") as file:
        start = file.read(9)
    # A safetensors file begins with the size of its header, whose last bytes are zeros, and a brace.
    if start[:4] == b"PK\x03\x04" or (start[:1] == b"\x80" and start[6:] != b"\0\0{"):
        return _model_weights(_unpickled(path), path)
    if start[8:] != b"{":
        raise ValueError(f"{path} is neither a safetensors nor a torch.save file: it begins with {start!r}")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error


def _unpickled(path: Path) -> Any:
    is_zip = zipfile.is_zipfile(path)
    # mmap: data outside the model, such as an optimizer's state, is never read.
    options: dict[str, Any] = dict(map_location="cpu", weights_only=False, pickle_module=_RESTRICTED, mmap=is_zip)
    try:
        if is_zip and _is_program(path):
            raise _Refused("a TorchScript program")
        if path.suffix == ".safetensors":  # torch would believe the name of a path
            with path.open("rb") as file:
                return torch.load(file, **options | {"mmap": False})
        return torch.load(path, **options)
    except _Refused as refusal:
        raise ValueError(
            f"{path} was not loaded: it names {refusal}, which no weights need and which loading could run. Nothing of "
            "it was run. Take the file from its original source, or ask its author for safetensors"
        ) from None
    except _DAMAGED as error:
        raise ValueError(f"{path} is damaged, or no torch.save file: {type(error).__name__} {error}") from error


# Errors that a damaged pickle or archive can raise.
_DAMAGED = (
    *(RuntimeError, LookupError, TypeError, ValueError, AttributeError, AssertionError, OverflowError),
    *(EOFError, OSError, pickle.UnpicklingError, zipfile.BadZipFile),
)


def _is_program(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


class _Refused(Exception):
    """A pickle refers to a forbidden name, which is the message."""


class _Inert:
    """Placeholder for an object of a class that is not loaded. Accepts any state from unpickling and discards it."""

    def __new__(cls, *_arguments: Any, **_named: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_arguments: Any, **_named: Any) -> None: ...

    def __call__(self, *_arguments: Any, **_named: Any) -> _Inert:
        return _Inert()

    def __setstate__(self, _state: Any) -> None: ...

    def __setitem__(self, _key: Any, _value: Any) -> None: ...

    def append(self, _value: Any) -> None: ...

    def extend(self, _values: Any) -> None: ...


# The types and functions that weights need. None of them runs code from its arguments.
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
# Names of the standard library that checkpoints contain beside weights: configurations, paths, times, reconstructors.
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
    """Loads tensors and plain containers. Every other class becomes an inert placeholder, without an import.

    Safety therefore does not depend on rejecting names of the standard library: the rejection informs the user that
    the file is suspicious.
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


# The interface that torch.load expects of a pickle module.
_RESTRICTED = types.SimpleNamespace(Unpickler=_Unpickler, load=_load, __name__="restricted pickle")


def _model_weights(loaded: Any, path: Path) -> dict[str, Tensor]:
    """Returns the model's weights from an unpickled file, without the name prefixes of wrappers."""
    state = loaded
    for key in MODEL_KEYS:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
            break
    if not isinstance(state, Mapping) or not any(isinstance(value, Tensor) for value in state.values()):
        keys = f"the keys {', '.join(map(str, list(state)[:8]))}" if isinstance(state, Mapping) else None
        raise ValueError(f"{path} holds no weights: it is {keys or type(state).__name__}")
    # The file is memory-mapped: a copy does not change with the file.
    weights = {str(name): value.detach().clone() for name, value in state.items() if isinstance(value, Tensor)}
    for wrapper in WRAPPERS:
        if all(name.startswith(wrapper) for name in weights):
            weights = {name.removeprefix(wrapper): value for name, value in weights.items()}
    return weights


# Into a model


def misfits(own_weights: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> tuple[list[str], list[str], list[str]]:
    """Returns the names of weights that are missing, unknown to the model, and of another shape than its own."""
    return (
        [name for name in own_weights if name not in weights],
        [name for name in weights if name not in own_weights],
        [name for name in own_weights if name in weights and weights[name].shape != own_weights[name].shape],
    )


def load_into(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copies all weights into the model.

    Raises ValueError naming weights that are missing, unknown to the model, or of another shape; the model is then
    unchanged.
    """
    own_weights = model.state_dict()
    missing, unknown, of_another_shape = misfits(own_weights, weights)
    shapes = [
        f"{name} {list(weights[name].shape)} instead of {list(own_weights[name].shape)}" for name in of_another_shape
    ]
    problems = [("missing", missing), ("not of this model", unknown), ("of another shape", shapes)]
    if any(names for _, names in problems):
        message = "; ".join(f"{len(names)} {problem}: {first_names(names)}" for problem, names in problems if names)
        raise ValueError(f"these weights are not the model's: {message}")
    model.load_state_dict(dict(weights))


def require_answers(weights: Mapping[str, Tensor]) -> None:
    """Raises ValueError naming weights that are not finite, and matrices of zeros: with these a model has no answer, or
    the same to everything.
    """
    for problem, names in (
        ("have numbers that are not finite", [name for name, value in weights.items() if not value.isfinite().all()]),
        (
            "are zeros only",
            [name for name, value in weights.items() if _must_not_be_zero(name, value) and not value.any()],
        ),
    ):
        if names:
            raise ValueError(f"{len(names)} of {len(weights)} weights {problem}: {first_names(names)}")


def _must_not_be_zero(name: str, value: Tensor) -> bool:
    """Says so of a matrix; the embedding of time begins as zeros."""
    return value.ndim > 1 and name != TEMPORAL


def first_names(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def config_from_weights(
    weights: Mapping[str, Tensor], *, vision_heads: int | None = None, text_heads: int | None = None
) -> ViCLIPConfig:
    """Infers the sizes of a ViCLIP from the shapes of its weights.

    vision_heads, text_heads: cannot be inferred from the shapes; by default width / 64, as in CLIP.
    Raises ValueError if the weights are not those of a ViCLIP.
    """
    try:
        width, _, _, patch_size, _ = weights["vision_encoder.conv1.weight"].shape
        text_width = weights["text_encoder.token_embedding.weight"].shape[1]
        side = round((len(weights[SPATIAL]) - 1) ** 0.5)
        if side * side + 1 != len(weights[SPATIAL]):
            raise ValueError(f"{SPATIAL} has {len(weights[SPATIAL])} rows, which is no square and a class token")
        return ViCLIPConfig(
            image_size=side * patch_size,
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
    prefix = f"{tower}_encoder.transformer.resblocks."
    return len({name.removeprefix(prefix).partition(".")[0] for name in weights if name.startswith(prefix)})


def fit(weights: Mapping[str, Tensor], config: ViCLIPConfig) -> dict[str, Tensor]:
    """Resizes the positional embeddings to the config: its frames, image size and context length may differ.

    Temporal embeddings are interpolated linearly, spatial ones bicubically; text positions are cut. Raises ValueError
    if the config needs more text positions than the weights have.
    """
    fitted = dict(weights)
    temporal, spatial, text_positions = weights[TEMPORAL], weights[SPATIAL], weights[TEXT_POSITIONS]
    if temporal.shape[1] != config.frames:
        # [1, width, frames], which interpolation takes
        interpolated = functional.interpolate(temporal.transpose(1, 2).float(), size=config.frames, mode="linear")
        fitted[TEMPORAL] = interpolated.transpose(1, 2).to(temporal.dtype).contiguous()
    if len(spatial) != 1 + config.patches_per_frame:
        side, new_side = round((len(spatial) - 1) ** 0.5), round(config.patches_per_frame**0.5)
        grid = spatial[1:].float().T.reshape(1, -1, side, side)
        resized = functional.interpolate(grid, size=(new_side, new_side), mode="bicubic", antialias=True)
        fitted[SPATIAL] = torch.cat([spatial[:1], resized.flatten(2)[0].T.to(spatial.dtype)])
    if len(text_positions) < config.context_length:
        raise ValueError(
            f"the weights have {len(text_positions)} text positions, but the model needs {config.context_length}"
        )
    fitted[TEXT_POSITIONS] = text_positions[: config.context_length].clone()
    return fitted


def with_text_positions(weights: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Returns the weights with at least so many text positions: further ones begin as copies of the last."""
    positions = weights[TEXT_POSITIONS]
    missing = max(count - len(positions), 0)
    return {**weights, TEXT_POSITIONS: torch.cat([positions, positions[-1:].expand(missing, -1)])}


# Initial weights and averages


def from_clip(folder_or_id: Path | str) -> tuple[ViCLIPConfig, dict[str, Tensor]]:
    """Converts a CLIP checkpoint of `transformers` to a ViCLIP that gives the same embedding for a single frame.

    folder_or_id: folder or hub id. The convolution gets a time axis of length one, the first 32 text positions are
    kept, the temporal embedding is zero, the temperature is CLIP's, but at least 0.01, and the activation is CLIP's.
    Raises OSError if there is no such checkpoint, ValueError for one that ViCLIP's network cannot represent.
    """
    from transformers import AutoConfig, CLIPModel  # slow to import

    clip_config = AutoConfig.from_pretrained(str(folder_or_id))
    if clip_config.model_type != "clip":
        raise ValueError(f"{folder_or_id} is a {clip_config.model_type} model, not CLIP")
    _check_representable(clip_config, folder_or_id)
    loaded: Any = CLIPModel.from_pretrained(str(folder_or_id), dtype=torch.float32, output_loading_info=True)
    clip, loading = loaded
    if loading["missing_keys"]:
        raise ValueError(
            f"{folder_or_id} is an incomplete CLIP: {first_names(sorted(loading['missing_keys']))} are missing"
        )

    clip_weights = clip.state_dict()
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
        activation=vision.hidden_act,
    )
    weights = {
        "temp": (-clip_weights["logit_scale"]).exp().clamp(min=0.01),
        "vision_encoder.class_embedding": clip_weights["vision_model.embeddings.class_embedding"],
        SPATIAL: clip_weights["vision_model.embeddings.position_embedding.weight"],
        TEMPORAL: torch.zeros(1, FRAMES, vision.hidden_size),
        "vision_encoder.conv1.weight": clip_weights["vision_model.embeddings.patch_embedding.weight"].unsqueeze(2),
        "vision_encoder.proj": clip_weights["visual_projection.weight"].T,
        "text_encoder.token_embedding.weight": clip_weights["text_model.embeddings.token_embedding.weight"],
        TEXT_POSITIONS: clip_weights["text_model.embeddings.position_embedding.weight"][:context_length],
        "text_encoder.text_projection": clip_weights["text_projection.weight"].T,
    }
    # "pre_layrnorm" is the spelling of transformers.
    for viclip_name, clip_name in (
        ("vision_encoder.ln_pre", "vision_model.pre_layrnorm"),
        ("vision_encoder.ln_post", "vision_model.post_layernorm"),
        ("text_encoder.ln_final", "text_model.final_layer_norm"),
    ):
        weights |= {f"{viclip_name}.{part}": clip_weights[f"{clip_name}.{part}"] for part in ("weight", "bias")}
    for tower, layers in (("vision", config.vision_layers), ("text", config.text_layers)):
        for layer in range(layers):
            block = _block(clip_weights, f"{tower}_model.encoder.layers.{layer}.")
            weights |= {f"{tower}_encoder.transformer.resblocks.{layer}.{name}": value for name, value in block.items()}
    return config, {name: value.detach().clone().contiguous() for name, value in weights.items()}


def _block(clip_weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Renames the weights of one transformer block of CLIP. ViCLIP's attention stacks its q, k and v matrices."""
    block = {}
    for part in ("weight", "bias"):
        block[f"attn.in_proj_{part}"] = torch.cat(
            [clip_weights[f"{prefix}self_attn.{letter}_proj.{part}"] for letter in "qkv"]
        )
        block[f"attn.out_proj.{part}"] = clip_weights[f"{prefix}self_attn.out_proj.{part}"]
        block[f"ln_1.{part}"] = clip_weights[f"{prefix}layer_norm1.{part}"]
        block[f"ln_2.{part}"] = clip_weights[f"{prefix}layer_norm2.{part}"]
        block[f"mlp.c_fc.{part}"] = clip_weights[f"{prefix}mlp.fc1.{part}"]
        block[f"mlp.c_proj.{part}"] = clip_weights[f"{prefix}mlp.fc2.{part}"]
    return block


def _check_representable(clip_config: Any, name: Path | str) -> None:
    """Raises ValueError for a CLIP that the network would load without an error, but compute differently."""
    text = clip_config.text_config
    problems = []
    for tower, config in (("vision", clip_config.vision_config), ("text", text)):
        if config.hidden_act not in ACTIVATIONS or config.hidden_act != text.hidden_act:
            known = " or ".join(ACTIVATIONS)
            problems.append(f"the {tower} tower's activation is {config.hidden_act}, and ViCLIP's is {known} in both")
        if config.layer_norm_eps != 1e-5:
            problems.append(f"the {tower} tower normalises with eps {config.layer_norm_eps}, and ViCLIP with 1e-05")
        if config.intermediate_size != 4 * config.hidden_size:
            problems.append(
                f"the {tower} tower's feed-forward layers are {config.intermediate_size} wide, "
                f"not 4 times {config.hidden_size}"
            )
    if clip_config.vision_config.num_channels != 3:
        problems.append(f"its pictures have {clip_config.vision_config.num_channels} channels, not 3")
    # Old configurations of CLIP have 2 here; transformers then pools at the largest id, as ViCLIP does.
    if text.eos_token_id not in (2, text.vocab_size - 1):
        problems.append(
            f"its end token {text.eos_token_id} is not the largest of {text.vocab_size}, where ViCLIP pools"
        )
    if problems:
        raise ValueError(f"{name} cannot become a ViCLIP: {'; '.join(problems)}")


def average(trained: Mapping[str, Tensor], initial: Mapping[str, Tensor], *, share: float = 0.5) -> dict[str, Tensor]:
    """Averages trained weights with the initial ones (weight-space ensemble, WiSE-FT, arXiv 2109.01903).

    share: weight of the trained ones, 0..1. Parameters that only the trained model has are kept as trained, and so is
    the temporal embedding where the initial one is zeros, as after CLIP: untrained. Raises ValueError for shares
    outside 0..1, and for weights of different shapes.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}, but it must be between 0 and 1")
    averaged = {}
    for name, value in trained.items():
        initial_value = initial.get(name)
        if initial_value is None or (name == TEMPORAL and not initial_value.any()):
            averaged[name] = value.clone()
        elif initial_value.shape != value.shape:
            raise ValueError(f"{name} was trained as {list(value.shape)}, and began as {list(initial_value.shape)}")
        else:
            averaged[name] = torch.lerp(initial_value.float(), value.float(), share).to(value.dtype)
    return averaged
