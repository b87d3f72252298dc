"""Tests whether captions belong to their clips: a fault of a pipeline may have attached them to other clips.

Clips and captions are vectors in one space. If captions were attached to clips at random, the mean cosine of clips and
their own captions would look like that of shuffled captions. A permutation test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHUFFLES = 999  # the smallest p-value is then 0.001


@dataclass(frozen=True)
class Match:
    """The result of the test.

    `clips`: number of clips compared. `own_cosine`: mean cosine of clips with their own caption. `other_cosine`: mean
    cosine of clips with the captions of other clips. `auc`: probability that a clip's own caption is nearer than that
    of another clip; 0.5 by chance. `p_value`: share of shuffles whose mean cosine is at least `own_cosine`.
    """

    clips: int
    own_cosine: float
    other_cosine: float
    auc: float
    p_value: float


def match(videos: np.ndarray, captions: np.ndarray, groups: np.ndarray | None = None, *, seed: int = 0) -> Match | None:
    """Compares the cosines of clips and their captions with those of shuffled captions.

    videos, captions: [n, d], each row of length one; row i of both is the same clip. groups: [n] integers, captions are
    shuffled within a group only; None shuffles among all clips. Returns None where no group holds two clips.
    Time and memory grow with n squared: give a sample of a thousand at most.
    """
    groups = np.zeros(len(videos), int) if groups is None else np.unique(groups, return_inverse=True)[1]
    group_sizes = np.bincount(groups, minlength=1)
    kept = group_sizes[groups] > 1  # a clip alone in its group has no other caption
    videos, captions, groups = videos[kept], captions[kept], groups[kept]
    clips = len(videos)
    if clips == 0:
        return None
    cosines = videos @ captions.T
    own = np.diagonal(cosines)
    is_other = (groups[:, None] == groups[None, :]) & ~np.eye(clips, dtype=bool)
    lower = (own[:, None] > cosines) + 0.5 * (own[:, None] == cosines)
    shuffled = np.empty((SHUFFLES, clips), int)
    # Clips are sorted by a random number within each group: that is the group's shuffled order.
    random = np.random.default_rng(seed).random((SHUFFLES, clips))
    shuffled[:, np.argsort(groups, kind="stable")] = np.argsort(groups + random, axis=1)
    means = cosines[np.arange(clips), shuffled].mean(axis=1)
    as_high = int((means >= own.mean() - 1e-9).sum())
    return Match(
        clips=clips,
        own_cosine=float(own.mean()),
        other_cosine=float(cosines[is_other].mean()),
        auc=float(lower[is_other].mean()),
        p_value=(1 + as_high) / (1 + SHUFFLES),
    )
