"""A ViCLIP and dialogues that are small enough to train a chat on in a second."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import torch

from internvid.dialogue.prompt import AskedTurn, ShownClip, VideoDialogue
from internvid.dialogue.recipe import ChatRecipe, Lora, NewLanguageModel, Projector
from internvid.viclip.checkpoint import Checkpoint
from internvid.viclip.clips import InMemoryClip, InMemoryClips
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.model import ViCLIP
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.recipe import Phase
from internvid.viclip.tokenizer import Tokenizer

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220), "white": (250, 250, 250)}


class ColouredVideos:
    """Dialogues about videos of two clips, each of one colour all over: every pair of colours in both orders."""

    def __init__(self, colours: int = 4) -> None:
        self.colours = list(permutations(list(COLOURS)[:colours], 2))
        self.clips = InMemoryClips(
            [
                InMemoryClip(f"{video}/{clip}", str(video), f"It is {colour}.", frames_of(colour))
                for video, colours in enumerate(self.colours)
                for clip, colour in enumerate(colours)
            ]
        )

    def __len__(self) -> int:
        return len(self.colours)

    def shown(self, position: int) -> tuple[ShownClip, ...]:
        return ShownClip(2 * position, 0.0, 2.0), ShownClip(2 * position + 1, 2.0, 4.0)

    def dialogue(self, position: int) -> VideoDialogue:
        first, last = self.colours[position]
        turns = (AskedTurn("What comes first?", f"{first}.", (1,)), AskedTurn("What comes last?", f"{last}.", (2,)))
        return VideoDialogue(str(position), self.shown(position), turns)


def frames_of(colour: str) -> np.ndarray:
    return np.tile(np.array(COLOURS[colour], np.uint8), (4, 16, 16, 1))


def small_viclip() -> Checkpoint:
    sizes = ViCLIPConfig(
        image_size=16, patch_size=8, vision_width=32, vision_layers=2, vision_heads=2, text_width=32, text_layers=1,
        text_heads=2, embed_dim=16, vocab_size=600, frames=2,
    )  # fmt: skip
    torch.manual_seed(0)
    tokenizer = Tokenizer.trained_on(["a red thing", "a blue thing"], vocab_size=600)
    return Checkpoint(ViCLIP(sizes), tokenizer, Preprocessing(16))


def small_recipe(**changes: object) -> ChatRecipe:
    phase = Phase("align", 0.0, learning_rate=4e-3, epochs=2, warmup_epochs=0.5, batch_size=4)
    recipe = ChatRecipe(
        name="small",
        language_model=None,
        new_language_model=NewLanguageModel(width=32, layers=2, heads=2, mlp_width=64, vocab_size=320, context=256),
        trained="full",
        projector=Projector(kind="mlp", times=1, side=1),
        align=phase,
        tune=replace(phase, name="tune", epochs=3),
        frames=2,
        max_tokens=256,
        precision="float32",
    )
    return replace(recipe, **changes)  # type: ignore[arg-type]


def with_folder(folder: object, **changes: object) -> ChatRecipe:
    """Returns a recipe that begins with the language model of a folder, and trains LoRA in it."""
    about = {
        "language_model": str(folder),
        "new_language_model": None,
        "trained": "lora",
        "lora": Lora(rank=4, alpha=8),
        "projector": Projector(kind="queries", queries=3, layers=1, heads=2),
        "max_tokens": 512,
    }
    return small_recipe(**{**about, **changes})
