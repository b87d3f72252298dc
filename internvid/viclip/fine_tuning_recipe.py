"""How a ViCLIP is fine-tuned on a benchmark, and the recipes by benchmark. Plain data: importing it costs nothing.

[P]: table 10 of the paper, for retrieval. The text of its header names the columns MSR-VTT, DiDeMo, ActivityNet, LSMDC,
MSVD; the lengths of texts fit the benchmarks only as MSR-VTT, LSMDC, MSVD, DiDeMo, ActivityNet, the order of its other
tables, which is taken here. Values for recognition are not in the paper: those here are usual for CLIP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from internvid.viclip.recipe import Crop, version_of


@dataclass(frozen=True)
class FineTuning:
    """How a checkpoint is fine-tuned on a benchmark.

    benchmark: its name. task: retrieval trains both towers by the contrastive loss and a match head; classification
    trains the video tower and a class head. frames: of each video. max_tokens: of a text. drop_path: drop rate of the
    last block. layer_decay: share of the next block's learning rate that a block has. match_weight: of the match head's
    loss; 0: no match head. match_width, match_layers, match_heads: sizes of the match head. crop, crop_scale: as of
    `Preprocessing.augmented`. horizontal_flip: unsuitable where captions or classes tell left from right.
    stored_frames, stored_side: frames that are kept of each video, of which training draws, and their shorter side in
    pixels where they are larger. max_steps: upper bound, for trials.
    """

    benchmark: str
    task: Literal["retrieval", "classification"]
    learning_rate: float
    epochs: float
    frames: int = 12
    max_tokens: int = 32
    drop_path: float = 0.3
    batch_size: int = 256
    warmup_epochs: float = 1.0
    learning_rate_floor: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.02
    layer_decay: float = 1.0
    match_weight: float = 1.0
    match_width: int = 256
    match_layers: int = 2
    match_heads: int = 4
    crop: Crop = "sides"
    crop_scale: tuple[float, float] = (0.5, 1.0)
    horizontal_flip: bool = True
    stored_frames: int = 32
    stored_side: int = 448  # twice the models' 224: the smallest crop need not be enlarged
    max_steps: int | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = 42

    @property
    def name(self) -> str:
        return f"finetune-{self.benchmark}"

    @property
    def version(self) -> str:
        """Returns the name and a hash of all fields: any change of the recipe changes it."""
        return version_of(self.name, asdict(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FineTuning:
        """Reads the result of `asdict`, also after a round trip through JSON."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**given)

    def changed(self, given: Mapping[str, str]) -> FineTuning:
        """Returns the recipe with fields set from their texts. Raises ValueError for an unknown field or a bad text."""
        values = {}
        known = {field.name for field in fields(self)} - {"benchmark", "task", "max_steps"}
        for name, text in given.items():
            if name not in known:
                raise ValueError(f"a fine-tuning has no {name!r}; it has {', '.join(sorted(known))}")
            values[name] = _parsed(name, getattr(self, name), text)
        return replace(self, **values)


def _parsed(name: str, old: Any, text: str) -> Any:
    """Returns the text as a value of the type of the old one."""
    try:
        if isinstance(old, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(old, tuple):
            first, second = (float(part) for part in text.split(","))
            return first, second
        return type(old)(text)
    except (KeyError, ValueError):
        raise ValueError(f"{name} is like {old!r}, not {text!r}") from None


def _retrieval(benchmark: str, learning_rate: float, epochs: int, max_tokens: int, drop_path: float) -> FineTuning:
    return FineTuning(
        benchmark, "retrieval", learning_rate, epochs, max_tokens=max_tokens, drop_path=drop_path, layer_decay=0.9
    )  # [P], but for the layer decay: the paper's table does not have it


def _classes(benchmark: str, *, epochs: int, flip: bool = True) -> FineTuning:
    """Not in the paper."""
    return FineTuning(
        benchmark,
        "classification",
        learning_rate=1e-5,
        epochs=epochs,
        frames=8,  # as it was trained before
        drop_path=0.1,
        warmup_epochs=min(5, epochs / 5),
        weight_decay=0.05,
        layer_decay=0.75,
        horizontal_flip=flip,
    )


FINE_TUNINGS: dict[str, FineTuning] = {
    recipe.benchmark: recipe
    for recipe in (
        _retrieval("msrvtt", 2e-5, 7, 32, 0.3),
        _retrieval("lsmdc", 4e-5, 8, 96, 0.2),
        _retrieval("msvd", 2e-5, 5, 64, 0.3),
        _retrieval("didemo", 2e-5, 10, 64, 0.3),
        _retrieval("activitynet", 4e-5, 20, 150, 0.2),
        _classes("kinetics400", epochs=20),
        _classes("kinetics600", epochs=20),
        _classes("kinetics700", epochs=20),
        _classes("kinetics710", epochs=20),
        _classes("ucf101", epochs=20),
        _classes("hmdb51", epochs=20),
        _classes("ssv2", epochs=30, flip=False),  # its classes tell left from right
    )
}
