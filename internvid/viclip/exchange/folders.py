"""Writes a checkpoint as a folder of another form, and compares what the folder computes with the checkpoint."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from internvid.report.whole_file import whole_binary_file, whole_file
from internvid.viclip.checkpoint import Checkpoint, save_checkpoint
from internvid.viclip.exchange.towers import OUTPUT, TEXT_INPUT, VIDEO_INPUT, TextTower, VideoTower

MAX_DIFFERENCE = 1e-4  # of a value of a vector of length one
CHECKED_TEXTS = ("a photo of a dog", "Two people talk; the camera turns right.", "")
CHECKED_CLIPS = 2

# Inputs of both towers -> the vectors of both, as the written folder computes them.
Run = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


class DifferentVectors(ValueError):
    """The folder that was written computes other vectors than the checkpoint. It was removed."""


@dataclass(frozen=True)
class ExportedModel:
    """folder: the written folder. max_difference: largest difference of a value of its vectors to the checkpoint's."""

    folder: Path
    max_difference: float


def export_checkpoint(checkpoint: Checkpoint, form: str, folder: Path) -> ExportedModel:
    """Writes the checkpoint in a form of `FORMS`; the folder is there whole or not at all.

    Raises ValueError for an unknown form, FileExistsError where the folder has files, DifferentVectors.
    """
    if form not in FORMS:
        raise ValueError(f"there is no form {form!r}; there are {', '.join(FORMS)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists: name a folder that does not, or an empty one")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    unfinished.mkdir()
    try:
        run = FORMS[form](checkpoint, unfinished)
        difference = _max_difference(checkpoint, run)
        if not difference <= MAX_DIFFERENCE:  # also where it is not a number
            raise DifferentVectors(
                f"as {form}, the model computes vectors that differ by {difference:.2g} from the checkpoint's; up to "
                f"{MAX_DIFFERENCE:g} is rounding. Nothing was written"
            )
        os.replace(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return ExportedModel(folder, difference)


def _transformers(checkpoint: Checkpoint, folder: Path) -> Run:
    from transformers import AutoModel

    from internvid.viclip.exchange.transformers_model import MODEL_TYPE, ViCLIPModel, register_viclip
    from internvid.viclip.tokenizer import END, START

    config = {"model_type": MODEL_TYPE, "architectures": [ViCLIPModel.__name__], "dtype": "float32"}
    save_checkpoint(folder, checkpoint, transformers_config=config)
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": checkpoint.tokenizer.context_length,
            **{name: token for name, token in (("bos_token", START), ("eos_token", END), ("pad_token", END))},
        },
    )
    _write_readme(folder, TRANSFORMERS_USE, checkpoint)
    register_viclip()
    model = AutoModel.from_pretrained(str(folder), trust_remote_code=False, use_safetensors=True).eval()

    def run(pixels: np.ndarray, token_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        normalised = checkpoint.preprocessing.normalised(torch.from_numpy(pixels))
        output = model(pixel_values=normalised, input_ids=torch.from_numpy(token_ids))
        return output.video_embeds.numpy(), output.text_embeds.numpy()

    return run


def _onnx(checkpoint: Checkpoint, folder: Path) -> Run:
    import onnxruntime

    from internvid.viclip.exchange.onnx_towers import text_graph, video_graph

    for name, graph in (("video", video_graph), ("text", text_graph)):
        with whole_binary_file(folder / f"{name}.onnx") as file:
            file.writelines(graph(checkpoint).pieces([OUTPUT]))
    _write_description(folder, checkpoint)
    _write_readme(folder, ONNX_USE, checkpoint)
    towers = [
        onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
        for name in ("video", "text")
    ]

    def run(pixels: np.ndarray, token_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (
            np.asarray(towers[0].run([OUTPUT], {VIDEO_INPUT: pixels})[0]),
            np.asarray(towers[1].run([OUTPUT], {TEXT_INPUT: token_ids})[0]),
        )

    return run


def _torch_program(checkpoint: Checkpoint, folder: Path) -> Run:
    towers: tuple[tuple[str, nn.Module, Tensor], ...] = (
        ("video", VideoTower(checkpoint), torch.from_numpy(_checked_pixels(checkpoint))),
        ("text", TextTower(checkpoint), checkpoint.tokenizer(CHECKED_TEXTS)),
    )
    programs = []
    for name, tower, example in towers:
        program = torch.export.export(tower, (example,), dynamic_shapes=({0: torch.export.Dim("rows", min=1)},))
        with whole_binary_file(folder / f"{name}.pt2") as file:
            torch.export.save(program, file)
        programs.append(torch.export.load(str(folder / f"{name}.pt2")).module())
    _write_description(folder, checkpoint)
    _write_readme(folder, TORCH_USE, checkpoint)

    def run(pixels: np.ndarray, token_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inputs = (torch.from_numpy(pixels), torch.from_numpy(token_ids))
        video, text = (program(each).numpy() for program, each in zip(programs, inputs, strict=True))
        return video, text

    return run


FORMS: dict[str, Callable[[Checkpoint, Path], Run]] = {
    "transformers": _transformers,
    "onnx": _onnx,
    "torch": _torch_program,
}


@torch.inference_mode()
def _max_difference(checkpoint: Checkpoint, run: Run) -> float:
    """Compares clips of noise, and texts: of one more row than the form was written with."""
    pixels = np.concatenate([_checked_pixels(checkpoint), _checked_pixels(checkpoint, seed=1)[:1]])
    token_ids = checkpoint.tokenizer([*CHECKED_TEXTS, "one more"])
    expected = VideoTower(checkpoint)(torch.from_numpy(pixels)), TextTower(checkpoint)(token_ids)
    differences = [
        np.abs(own.numpy() - written).max()
        for own, written in zip(expected, run(pixels, token_ids.numpy()), strict=True)
    ]
    return float(np.max(differences))


def _checked_pixels(checkpoint: Checkpoint, *, seed: int = 0) -> np.ndarray:
    config = checkpoint.model.config
    shape = (CHECKED_CLIPS, config.frames, 3, config.image_size, config.image_size)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def _write_description(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes the vocabulary, the receipt, and what the towers take and return."""
    config = checkpoint.model.config
    checkpoint.tokenizer.save_standalone(folder)
    side = config.image_size
    _write_json(folder / "receipt.json", checkpoint.receipt)
    _write_json(
        folder / "config.json",
        {
            "video": {"input": VIDEO_INPUT, "shape": ["clips", config.frames, 3, side, side], "type": "uint8"},
            "text": {"input": TEXT_INPUT, "shape": ["texts", config.context_length], "type": "int64"},
            "output": OUTPUT,
            "dimensions": config.embed_dim,
            "temperature": checkpoint.model.temperature.item(),
            "preprocessing": checkpoint.preprocessing.as_dict(),
        },
    )


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with whole_file(path) as file:
        json.dump(content, file, indent=2, ensure_ascii=False)
        file.write("\n")


def _write_readme(folder: Path, use: str, checkpoint: Checkpoint) -> None:
    config = checkpoint.model.config
    name = checkpoint.receipt.get("checkpoint_id", "ViCLIP")
    with whole_file(folder / "README.md") as file:
        file.write(f"# {name}\n\n{use.format(frames=config.frames, side=config.image_size).strip()}\n")


INPUTS = """
A video is {frames} frames, RGB, each the middle of one of as many equal parts of the video, resized to {side} x {side}
pixels without keeping its aspect ratio. Vectors have length one: their product is the cosine.
"""
TRANSFORMERS_USE = f"""
A video-text model in the layout of `transformers`. The class is in the package `internvid-lakehouse`; no remote code is
needed.
{INPUTS}
```python
import torch
from transformers import AutoModel, AutoProcessor

from internvid.viclip.exchange.transformers_model import register_viclip

register_viclip()
model = AutoModel.from_pretrained(".").eval()
processor = AutoProcessor.from_pretrained(".")
with torch.inference_mode():
    output = model(**processor(videos=[frames], text=["a dog runs"]))  # frames: [{{frames}}, height, width, 3] uint8
output.video_embeds, output.text_embeds, output.logits_per_video
```
"""
ONNX_USE = f"""
The two towers of a video-text model for ONNX Runtime. `config.json` has the shapes. Frames are given as bytes: the
graph normalises them.
{INPUTS}
```python
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

tokens = Tokenizer.from_file("tokenizer.json")  # prepares, frames, cuts and pads texts
token_ids = np.array([text.ids for text in tokens.encode_batch(["a dog runs"])])
texts = onnxruntime.InferenceSession("text.onnx").run(None, {{{{"token_ids": token_ids}}}})[0]
videos = onnxruntime.InferenceSession("video.onnx").run(None, {{{{"pixels": pixels}}}})[0]
videos @ texts.T  # pixels: [clips, {{frames}}, 3, {{side}}, {{side}}] uint8
```
"""
TORCH_USE = f"""
The two towers of a video-text model as exported programs of torch. `config.json` has the shapes. Frames are given as
bytes: the program normalises them.
{INPUTS}
```python
import torch
from tokenizers import Tokenizer

tokens = Tokenizer.from_file("tokenizer.json")  # prepares, frames, cuts and pads texts
token_ids = torch.tensor([text.ids for text in tokens.encode_batch(["a dog runs"])])
texts = torch.export.load("text.pt2").module()(token_ids)
videos = torch.export.load("video.pt2").module()(pixels)
videos @ texts.T  # pixels: [clips, {{frames}}, 3, {{side}}, {{side}}] uint8
```
"""
