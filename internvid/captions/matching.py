"""Whether captions are those of their clips: a test of vectors, after a pipeline may have attached them to others.

Clips and captions are vectors in one space. Were captions attached to clips by lot, the mean cosine of each clip and
its own caption would be one draw among those of shuffled captions; so it is compared with them (a permutation test).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHUFFLES = 999  # the smallest p-value is then 0.001


@dataclass(frozen=True)
class Match:
    """matched, others: mean cosine of clips with their own caption, and with others'. auc: how probable it is that a
    clip's own caption is nearer than another's; 0.5 by lot. p_value: share of shuffles whose mean is as high as that of
    the captions as they are.
    """

    clips: int
    matched: float
    others: float
    auc: float
    p_value: float


def match(videos: np.ndarray, captions: np.ndarray, groups: np.ndarray | None = None, *, seed: int = 0) -> Match | None:
    """videos, captions: [n, d], of length one, row i of both is the same clip. groups: [n] integers; captions are
    shuffled within a group only, None: among all. None where no group holds two clips.

    Time and memory grow with n squared: give a sample of a thousand at most.
    """
    groups = np.zeros(len(videos), int) if groups is None else np.unique(groups, return_inverse=True)[1]
    of_group = np.bincount(groups, minlength=1)
    kept = of_group[groups] > 1  # a clip alone in its group has no other caption
    videos, captions, groups = videos[kept], captions[kept], groups[kept]
    clips = len(videos)
    if clips == 0:
        return None
    cosines = videos @ captions.T
    own = np.diagonal(cosines)
    is_other = (groups[:, None] == groups[None, :]) & ~np.eye(clips, dtype=bool)
    lower = (own[:, None] > cosines) + 0.5 * (own[:, None] == cosines)
    shuffled = np.empty((SHUFFLES, clips), int)
    # Sorted by a random number within each group; what stands where the group's clips do is their shuffled order.
    random = np.random.default_rng(seed).random((SHUFFLES, clips))
    shuffled[:, np.argsort(groups, kind="stable")] = np.argsort(groups + random, axis=1)
    means = cosines[np.arange(clips), shuffled].mean(axis=1)
    as_high = int((means >= own.mean() - 1e-9).sum())
    return Match(
        clips=clips,
        matched=float(own.mean()),
        others=float(cosines[is_other].mean()),
        auc=float(lower[is_other].mean()),
        p_value=(1 + as_high) / (1 + SHUFFLES),
    )
