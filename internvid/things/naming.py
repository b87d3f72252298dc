"""Which of the kinds that a classifier sees in a clip are sure enough to be said, and which words search finds it by.

The limits are those at which at least nine of ten names were true on 39 clips of 24 real videos, looked at one by one.
With them twelve clips have a name, and all twelve are true; at a peak of 0.4, six of nine further names are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from internvid.things.kinds import Kind, SeenKind, kinds

MIN_PROBABILITY = 0.4  # over the frames
MIN_PEAK = 0.5  # in one frame
MAX_NAMES = 2
# What is said where no kind is sure but the kinds of a group are together: group -> name, groups.
_GROUPS = {
    "aircraft": ("an aircraft or a spacecraft", ("aircraft",)),
    "vehicle": ("a vehicle", ("vehicle", "aircraft")),
}

# Search finds a clip by less than what is said of it, since it ranks: a word stands as often as its kind is probable.
_MIN_SEARCHED_PEAK = 0.08
_REPETITIONS = 8  # of a kind of which the classifier is sure


def named(seen: Sequence[SeenKind]) -> list[SeenKind]:
    """Returns the kinds that are sure enough to be said, the surest first; else a group that is."""
    sure = [kind for kind in seen if kind.probability >= MIN_PROBABILITY or kind.peak >= MIN_PEAK]
    if sure:
        return sorted(sure, key=lambda kind: -kind.probability)[:MAX_NAMES]
    for name, groups in _GROUPS.values():
        members = [kind for kind in seen if (known := _kinds_by_name().get(kind.name)) and known.group in groups]
        together = sum(kind.probability for kind in members)
        if together >= MIN_PROBABILITY:
            return [SeenKind(name, round(together, 4), max(kind.peak for kind in members))]
    return []


def searched_words(seen: Sequence[SeenKind]) -> str:
    """Returns the words by which search finds a clip with these kinds, separated by spaces; repeated where surer."""
    words: list[str] = []
    for kind in seen:
        known = _kinds_by_name().get(kind.name)
        if known is not None and kind.peak >= _MIN_SEARCHED_PEAK:
            name = [word for word in re.findall(r"\w+", kind.name) if word not in ("a", "an", "or", "of")]
            words += [*name, *known.words] * max(1, round(kind.peak * _REPETITIONS))
    return " ".join(words)


@cache
def _kinds_by_name() -> dict[str, Kind]:
    return {kind.name: kind for kind in kinds()}
