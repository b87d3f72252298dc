"""Zero-shot action recognition: a video is given the class whose prompts are nearest to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from internvid.viclip.tokenizer import prepare_text

# ActionCLIP's prompts (arXiv 2109.08472), with which the paper's tables were made.
TEMPLATES = (
    "a photo of action {}",
    "a picture of action {}",
    "Human action of {}",
    "{}, an action",
    "{} this is an action",
    "{}, a video of action",
    "Playing action of {}",
    "{}",
    "Playing a kind of action, {}",
    "Doing a kind of action, {}",
    "Look, the human is {}",
    "Can you recognize the action of {}?",
    "Video classification of {}",
    "A video of {}",
    "The man is {}",
    "The woman is {}",
)
VIDEOS_AT_ONCE = 4096


@dataclass(frozen=True)
class Accuracy:
    """Shares of the videos. count: videos. classes: how many there are to choose from."""

    top_1: float
    top_5: float
    count: int
    classes: int

    @property
    def mean(self) -> float:
        """Of top-1 and top-5: the paper's AVG."""
        return (self.top_1 + self.top_5) / 2


def prompts(label: str) -> list[str]:
    """The class's name in each template, as the model is trained to read text."""
    return [prepare_text(template.format(label)) for template in TEMPLATES]


def class_vectors(labels: Sequence[str], encode: Callable[[Sequence[str]], np.ndarray]) -> np.ndarray:
    """[classes, d] float64: the mean of each class's normalised prompt vectors, itself not normalised.

    A video's product with it is the mean over prompts of their cosines. encode: texts -> [texts, d], L2-normalised.
    """
    vectors = encode([prompt for label in labels for prompt in prompts(label)])
    return vectors.astype(np.float64).reshape(len(labels), len(TEMPLATES), -1).mean(1)


def zero_shot_accuracy(
    video: np.ndarray, classes: np.ndarray, labels: np.ndarray, *, videos_at_once: int = VIDEOS_AT_ONCE
) -> Accuracy:
    """video: [videos, d] float32, L2-normalised. classes: [classes, d]. labels: [videos] int, 0 to classes - 1."""
    ranks = [
        ranks_of_labels(video[start : start + videos_at_once] @ classes.T, labels[start : start + videos_at_once])
        for start in range(0, len(video), videos_at_once)
    ]
    return accuracy(np.concatenate(ranks) if ranks else np.zeros(0, np.int64), classes=len(classes))


def ranks_of_labels(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[videos] int64: 1 + how many other classes score at least as high as the right one, in float32.

    scores: [videos, classes] float64. labels: [videos] int; one beyond the classes is never found.
    Raises ValueError for scores that are not finite.
    """
    if not np.isfinite(scores).all():
        raise ValueError("some scores of classes are not finite")  # NaN would lose every comparison and rank first
    compared = torch.as_tensor(scores).float()
    known = torch.as_tensor(np.asarray(labels, np.int64))
    found = (known >= 0) & (known < compared.shape[1])
    own = compared.gather(1, known.where(found, 0)[:, None])
    ranks = (compared >= own).sum(1)
    return ranks.where(found, compared.shape[1] + 1).numpy()


def accuracy(ranks: np.ndarray, *, classes: int) -> Accuracy:
    """Raises ValueError where there are no ranks."""
    if len(ranks) == 0:
        raise ValueError("there are no videos to classify")
    return Accuracy(float((ranks <= 1).mean()), float((ranks <= 5).mean()), len(ranks), classes)


def chance(classes: int) -> Accuracy:
    """What a guess by lot gives."""
    return Accuracy(1 / classes, min(5, classes) / classes, 0, classes)
