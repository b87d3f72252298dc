"""Answers in words against the expected ones, as zero-shot question answering is published: equal, word for word."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_AROUND = re.compile(r"^[\s.,!?\"'“”]+|[\s.,!?\"'“”]+$")


def is_exact(answer: str, expected: str) -> bool:
    """Says whether the answers are equal, but for case and for punctuation around them."""
    return _plain(answer) == _plain(expected)


def guessing_share(expected: Iterable[str]) -> float:
    """Returns the share of questions that the most frequent answer is right for: what guessing reaches. 0 for none."""
    counts = Counter(_plain(answer) for answer in expected)
    return max(counts.values()) / counts.total() if counts else 0.0


def _plain(answer: str) -> str:
    return " ".join(_AROUND.sub("", answer).lower().split())
