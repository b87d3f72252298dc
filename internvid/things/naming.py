"""Which of the kinds that a classifier sees in a clip are sure enough to be said, and which words search finds it by.

The limits are the lowest at which nine of ten names were true on 39 clips of 24 real videos and 47 clips of ten
rendered ones, looked at one by one: 18 names of real clips, all true, and nine of drawings, of which seven are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from internvid.things.kinds import Kind, SeenKind, kinds

MIN_PROBABILITY = 0.5  # over the frames
MIN_PEAK = 0.52  # in one frame
MAX_NAMES = 2
PERSON = "a person"
# What is said where no kind is sure by itself but the kinds of groups are together: (name, groups, their least
# probability). The pictures of clothes that the classifier learned from show people who wear them: of the real clips
# tested, those with a person have 0.03 to 0.91 for clothes, those without 0.06 at most.
_TOGETHER = (
    ("an aircraft or a spacecraft", ("aircraft",), 0.4),
    ("a vehicle", ("vehicle", "aircraft"), 0.4),
    (PERSON, ("clothing", "person"), 0.15),
)

# A space shuttle is an airplane at 0.42 and a spaceship at 0.27: beside a rival with such a share of its probability, a
# kind of a group is not told from the others.
_MAX_RIVAL = 0.4

# Search finds a clip by less than what is said of it, since it ranks: a word stands as often as the square of its
# kind's probability says, so that three weak kinds do not hide a strong one.
_MIN_SEARCHED_PEAK = 0.13
_REPETITIONS, _MAX_REPETITIONS = 30, 8


def named(seen: Sequence[SeenKind]) -> list[SeenKind]:
    """Returns the kinds that are sure enough to be said, the surest first; else a group that is."""
    sure = [kind for kind in seen if kind.probability >= MIN_PROBABILITY or kind.peak >= MIN_PEAK]
    sure.sort(key=lambda kind: -kind.probability)
    for name, groups, least in _TOGETHER:
        members = [kind for kind in seen if _group(kind) in groups]
        together = sum(kind.probability for kind in members)
        is_one_of_several = bool(sure) and _group(sure[0]) == groups[0] and _has_rival(sure[0], seen)
        if together >= least and (not sure or is_one_of_several):
            return [SeenKind(name, round(together, 4), max(kind.peak for kind in members))]
    return sure[:MAX_NAMES]


def _has_rival(kind: SeenKind, seen: Sequence[SeenKind]) -> bool:
    """Whether another kind of the same group is nearly as probable."""
    rivals = [rival.peak for rival in seen if rival != kind and _group(rival) == _group(kind)]
    return max(rivals, default=0.0) >= _MAX_RIVAL * kind.peak


def searched_words(seen: Sequence[SeenKind]) -> str:
    """Returns the words by which search finds a clip with these kinds, separated by spaces; repeated where surer."""
    words: list[str] = []
    for kind in seen:
        known = _kinds_by_name().get(kind.name)
        if known is not None and kind.peak >= _MIN_SEARCHED_PEAK:
            name = [word for word in re.findall(r"\w+", kind.name) if word not in ("a", "an", "or", "of")]
            words += [*name, *known.words] * min(_MAX_REPETITIONS, max(1, round(kind.peak**2 * _REPETITIONS)))
    return " ".join(words)


def _group(kind: SeenKind) -> str:
    known = _kinds_by_name().get(kind.name)
    return known.group if known else ""


@cache
def _kinds_by_name() -> dict[str, Kind]:
    return {kind.name: kind for kind in kinds()}
