"""How a model is trained that talks about videos, and the recipes by name. Plain data: importing it costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from internvid.viclip.recipe import Phase, version_of

# What is trained of the language model: nothing, low-rank additions to its matrices (LoRA), or all of it.
Trained = Literal["frozen", "lora", "full"]


@dataclass(frozen=True)
class Projector:
    """How the tokens of a clip become inputs of the language model.

    kind: `mlp` averages the video tokens over times and places and projects each; `queries` lets learnt queries attend
    to all tokens, as a query transformer does.
    times, side: of `mlp`: a clip becomes one token, and one for each of `times` by `side` by `side` parts.
    queries, layers, heads: of `queries`: tokens of a clip, blocks, and heads of their attention.
    """

    kind: Literal["mlp", "queries"]
    times: int = 8
    side: int = 4
    queries: int = 32
    layers: int = 2
    heads: int = 8


@dataclass(frozen=True)
class NewLanguageModel:
    """A causal language model that is trained from random weights: a small Llama with a vocabulary from the texts.

    vocab_size: upper bound on tokens. context: tokens that it reads and writes.
    """

    width: int
    layers: int
    heads: int
    mlp_width: int
    vocab_size: int
    context: int


@dataclass(frozen=True)
class Lora:
    """Low-rank additions to all linear layers of the language model. rank: of each. alpha: their scale times rank."""

    rank: int = 16
    alpha: int = 32


@dataclass(frozen=True)
class ChatRecipe:
    """How a model that talks about videos is trained.

    language_model: a causal language model of `transformers`, by folder or hub id; None: `new_language_model`.
    trained: what of the language model is trained in the phase `tune`. train_vision: train ViCLIP's tower too.
    align: the phase on captions, in which a pretrained language model stays as it is; None: there is none.
    tune: the phase on dialogues. Its batches count dialogues, and so do those of `align`.
    use_video: False trains a blind model, which gets no video: a baseline.
    frames: of each clip. max_tokens: of a prompt with its questions; a dialogue's further questions are left out.
    """

    name: str
    language_model: str | None
    new_language_model: NewLanguageModel | None
    trained: Trained
    projector: Projector
    align: Phase | None
    tune: Phase
    lora: Lora | None = None
    train_vision: bool = False
    use_video: bool = True
    frames: int = 8
    max_tokens: int = 2048
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.05
    max_gradient_norm: float = 1.0
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    seed: int = 42

    @property
    def version(self) -> str:
        """Returns the name and a hash of all fields: any change of the recipe changes it."""
        return version_of(self.name, asdict(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ChatRecipe:
        """Reads the result of `asdict`, also after a round trip through JSON."""
        parts = {
            name: None if values[name] is None else kind(**values[name])
            for name, kind in (
                ("new_language_model", NewLanguageModel),
                ("projector", Projector),
                ("align", Phase),
                ("tune", Phase),
                ("lora", Lora),
            )
        }
        return cls(**{**values, **parts, "betas": tuple(values["betas"])})


# Tried with benchmarks/chat_tiny.py, on two cores. Few tokens a clip: attention has less to search through.
CHAT_TINY = ChatRecipe(
    name="chat-tiny",
    language_model=None,
    new_language_model=NewLanguageModel(width=96, layers=4, heads=3, mlp_width=256, vocab_size=512, context=1_024),
    trained="full",
    projector=Projector(kind="mlp", times=2, side=1),
    align=Phase(
        name="align",
        mask_ratio=0.0,
        learning_rate=1.5e-3,
        epochs=1,
        warmup_epochs=0.2,
        batch_size=8,
        min_steps=50,
    ),
    tune=Phase(
        name="tune",
        mask_ratio=0.0,
        learning_rate=1.5e-3,
        epochs=7,  # after 4, a model finds shapes and colours only in part: see docs/dialogue.md
        warmup_epochs=0.2,
        batch_size=8,
        min_steps=100,
    ),
    max_tokens=1_024,
    precision="float32",  # few CPUs are faster at bfloat16
)

# The sizes of VideoChat, with a language model of the user's. Not trained here: its values are those of its paper and
# of LLaVA where that says nothing, and no figure stands behind them.
VIDEOCHAT = ChatRecipe(
    name="videochat",
    language_model="",  # INTERNVID_LANGUAGE_MODEL
    new_language_model=None,
    trained="lora",
    lora=Lora(rank=16, alpha=32),
    projector=Projector(kind="queries", queries=96, layers=2, heads=16),  # divides the widths of ViCLIP-B and -L
    align=Phase(name="align", mask_ratio=0.0, learning_rate=1e-4, epochs=1, warmup_epochs=0.05, batch_size=32),
    tune=Phase(name="tune", mask_ratio=0.0, learning_rate=2e-5, epochs=3, warmup_epochs=0.1, batch_size=32),
)

CHAT_RECIPES: dict[str, ChatRecipe] = {recipe.name: recipe for recipe in (CHAT_TINY, VIDEOCHAT)}
