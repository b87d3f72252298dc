"""Zero-shot action recognition: predicts the class whose prompts are nearest to a video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from internvid.viclip.tokenizer import prepare_text

# ActionCLIP's prompts (arXiv 2109.08472), which the paper's tables use.
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
VIDEOS_PER_BATCH = 4096


@dataclass(frozen=True)
class Accuracy:
    """Shares of correctly classified videos. count: number of videos. classes: number of classes."""

    top_1: float
    top_5: float
    count: int
    classes: int

    def over(self, absent: int) -> Accuracy:
        """Returns the accuracy over so many further videos, which cannot be read and count as wrong."""
        count = self.count + absent
        share = self.count / count
        return Accuracy(self.top_1 * share, self.top_5 * share, count, self.classes)

    @property
    def mean(self) -> float:
        """Mean of top-1 and top-5: the paper's AVG."""
        return (self.top_1 + self.top_5) / 2


def prompts(label: str, prepare: Callable[[str], str] = prepare_text) -> list[str]:
    """Returns the class's name in each template, prepared."""
    return [prepare(template.format(label)) for template in TEMPLATES]


def class_vectors(
    labels: Sequence[str],
    encode: Callable[[Sequence[str]], np.ndarray],
    *,
    prepare: Callable[[str], str] = prepare_text,
) -> np.ndarray:
    """Returns the mean of each class's normalised prompt vectors, not normalised again: [classes, d] float64.

    Its dot product with a video is the mean cosine over the prompts. encode: texts -> [texts, d], L2-normalised.
    prepare: what is done to a prompt before it is encoded.
    """
    vectors = encode([prompt for label in labels for prompt in prompts(label, prepare)])
    return vectors.astype(np.float64).reshape(len(labels), len(TEMPLATES), -1).mean(1)


def zero_shot_accuracy(
    video: np.ndarray, classes: np.ndarray, labels: np.ndarray, *, videos_per_batch: int = VIDEOS_PER_BATCH
) -> Accuracy:
    """Returns the accuracy of the nearest class.

    video: [videos, d] float32, L2-normalised. classes: [classes, d]. labels: [videos] int, 0 to classes - 1.
    """
    ranks = [
        ranks_of_labels(video[start : start + videos_per_batch] @ classes.T, labels[start : start + videos_per_batch])
        for start in range(0, len(video), videos_per_batch)
    ]
    return accuracy(np.concatenate(ranks) if ranks else np.zeros(0, np.int64), classes=len(classes))


def ranks_of_labels(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns 1 + the number of other classes that score at least as high as the label, in float32: [videos] int64.

    scores: [videos, classes] float64. labels: [videos] int; a label outside the classes gets the rank classes + 1.
    Raises ValueError for scores that are not finite.
    """
    if not np.isfinite(scores).all():
        raise ValueError(
            "some scores of classes are not finite"
        )  # a comparison with NaN is false, so NaN would rank first
    compared = torch.as_tensor(scores).float()
    label_tensor = torch.as_tensor(np.asarray(labels, np.int64))
    is_valid = (label_tensor >= 0) & (label_tensor < compared.shape[1])
    label_scores = compared.gather(1, label_tensor.where(is_valid, 0)[:, None])
    ranks = (compared >= label_scores).sum(1)
    return ranks.where(is_valid, compared.shape[1] + 1).numpy()


def accuracy(ranks: np.ndarray, *, classes: int) -> Accuracy:
    """Computes top-1 and top-5 from ranks. Raises ValueError if there are none."""
    if len(ranks) == 0:
        raise ValueError("there are no videos to classify")
    return Accuracy(float((ranks <= 1).mean()), float((ranks <= 5).mean()), len(ranks), classes)


def average_precision(scores: np.ndarray, is_right: np.ndarray) -> float:
    """Returns the mean precision at each right answer of a ranking by scores, in float32; ties are ranked last.

    scores: [answers]. is_right: [answers] bool, at least one. Raises ValueError for scores that are not finite.
    """
    compared = scores.astype(np.float32)
    if not np.isfinite(compared).all():
        raise ValueError("some scores are not finite")
    order = np.lexsort((is_right, -compared))  # of equal scores the wrong answers first
    hits = is_right[order]
    return float((np.cumsum(hits)[hits] / (np.flatnonzero(hits) + 1)).mean())


def chance_precision(answers: int, right: int) -> float:
    """Returns the expected average precision of random scores: before a right answer, others are as dense as chance."""
    harmonic = float((1 / np.arange(1, answers + 1)).sum())
    density = (right - 1) / (answers - 1) if answers > 1 else 0.0
    return density + (1 - density) * harmonic / answers


def chance(classes: int) -> Accuracy:
    """Returns the expected accuracy of random guesses."""
    return Accuracy(1 / classes, min(5, classes) / classes, 0, classes)
