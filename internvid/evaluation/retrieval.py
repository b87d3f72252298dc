"""Text-to-video and video-to-text retrieval: at which rank each query finds what belongs to it.

The matrix of scores is never held: it is made tile by tile, so that a million videos by a million texts need the
vectors and a few tiles. Scores are summed in float64 and rounded to float32 before they are compared. Vectors that are
equal so get equal scores wherever they stand in a tile, whatever the tiles' size and the number of threads, and the
ranks are the same everywhere. (Summed in float32, equal vectors differ in the last bit by their place.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

TILE = 2048  # videos by texts at once: 32 MiB of float64, and a few times that with dual softmax
RECALLS = (1, 5, 10)


@dataclass(frozen=True)
class Ranks:
    """1 is the best. text_to_video: [texts] int64. video_to_text: [videos that have a text] int64, in order."""

    text_to_video: np.ndarray
    video_to_text: np.ndarray


@dataclass(frozen=True)
class RankSummary:
    """recall: k -> share of the queries whose rank is at most k. median, mean: of the ranks. count: queries."""

    recall: dict[int, float]
    median: float
    mean: float
    count: int


def retrieval_ranks(
    video: np.ndarray,
    text: np.ndarray,
    video_of_text: np.ndarray,
    *,
    dual_softmax_temperature: float | None = None,
    tile: int = TILE,
    device: str = "cpu",
) -> Ranks:
    """Ranks both ways. Ties count against us: rank = 1 + number of wrong answers that score at least as high.

    video: [videos, d], text: [texts, d] float32, L2-normalised. video_of_text: [texts] int, the video that each text
    belongs to. A video of several texts takes the rank of the best of them; a video without any is no query, but may
    be found. dual_softmax_temperature: scores s become s * softmax(s / temperature) over the queries (the paper's
    second figure, with 1.0); this looks at all queries at once, which a search engine cannot. tile: videos and texts
    per tile. Raises ValueError for shapes that do not fit, no texts, and values that are not finite.
    """
    owner_numbers = np.asarray(video_of_text, np.int64)
    _check(video, text, owner_numbers)
    videos = torch.as_tensor(video, device=device)
    texts = torch.as_tensor(text, device=device)
    owner = torch.as_tensor(owner_numbers, device=device)
    scorer = _Scorer(videos, texts, tile)
    if dual_softmax_temperature is not None:
        scorer.normalise(dual_softmax_temperature)

    # What each query's own answer scores. Of the texts of one video the best counts.
    own_by_text = torch.empty(len(texts), device=device)
    best_by_video = torch.full((len(videos),), -torch.inf, device=device)
    for t in _slices(len(texts), tile):
        to_video, to_text = scorer.of_pairs(owner[t], t)
        own_by_text[t] = to_video
        best_by_video.scatter_reduce_(0, owner[t], to_text, "amax")

    better_videos = torch.zeros(len(texts), dtype=torch.int64, device=device)
    better_texts = torch.zeros(len(videos), dtype=torch.int64, device=device)
    for v, t, to_video, to_text in scorer.tiles():
        # The right answers are taken out: they are not compared with themselves, nor with each other.
        own = torch.nonzero((owner[t] >= v.start) & (owner[t] < v.stop)).squeeze(1)
        rows = owner[t][own] - v.start
        to_video[rows, own] = -torch.inf
        to_text[rows, own] = -torch.inf
        # Booleans are summed as int32, which takes a quarter of the time that int64 does.
        better_videos[t] += (to_video >= own_by_text[t][None, :]).sum(0, dtype=torch.int32)
        better_texts[v] += (to_text >= best_by_video[v][:, None]).sum(1, dtype=torch.int32)
    asks = np.unique(owner_numbers)
    return Ranks(better_videos.cpu().numpy() + 1, better_texts.cpu().numpy()[asks] + 1)


def summarise(ranks: np.ndarray) -> RankSummary:
    """Raises ValueError where there are no ranks."""
    if len(ranks) == 0:
        raise ValueError("there are no ranks to summarise")
    return RankSummary(
        {k: float((ranks <= k).mean()) for k in RECALLS},
        float(np.median(ranks)),
        float(ranks.mean()),
        len(ranks),
    )


def chance(candidates: int, right: np.ndarray) -> RankSummary:
    """What scores drawn by lot give: the expected recalls and mean rank; median: the rank that half stay within.

    candidates: how many answers are ranked. right: [queries] int, how many of them are right for each query.
    The best of p right ones among m stands below rank r with probability C(m - p, r) / C(m, r).
    """
    right = np.asarray(right, np.int64)
    places = np.arange(candidates)
    beyond = np.zeros(candidates)  # at r: the share of queries whose rank is above r + 1
    for count, queries in zip(*np.unique(right, return_counts=True), strict=True):
        beyond += np.cumprod(np.maximum(candidates - count - places, 0) / (candidates - places)) * queries
    within = 1 - beyond / len(right)
    return RankSummary(
        {k: float(within[min(k, candidates) - 1]) for k in RECALLS},
        float(np.argmax(within >= 0.5 - 1e-12) + 1),
        float(((candidates + 1) / (right + 1)).mean()),
        len(right),
    )


class _Scorer:
    """Scores of tiles, as the two directions compare them: plain, or each multiplied with its softmax."""

    def __init__(self, videos: Tensor, texts: Tensor, tile: int) -> None:
        self._videos, self._texts, self._tile = videos, texts, tile
        self._temperature: float | None = None
        self._over_texts = self._over_videos = torch.empty(0)

    def normalise(self, temperature: float) -> None:
        """One pass over all tiles, for the softmaxes' denominators as logarithms: [videos] and [texts] float64."""
        self._over_texts = torch.full((len(self._videos),), -torch.inf, dtype=torch.float64, device=self._videos.device)
        self._over_videos = torch.full((len(self._texts),), -torch.inf, dtype=torch.float64, device=self._texts.device)
        for v, t, scores in self._products():
            exponents = scores.double() / temperature
            self._over_texts[v] = torch.logaddexp(self._over_texts[v], exponents.logsumexp(1))
            self._over_videos[t] = torch.logaddexp(self._over_videos[t], exponents.logsumexp(0))
        self._temperature = temperature

    def tiles(self) -> Iterator[tuple[slice, slice, Tensor, Tensor]]:
        """Slices of videos and texts with their scores [videos, texts] float32, for text-to-video and video-to-text."""
        for v, t, scores in self._products():
            if self._temperature is None:
                yield v, t, scores, scores
            else:
                # The softmax is over the queries: for a text that looks for videos, over the texts.
                yield (
                    v,
                    t,
                    self._weighted(scores, self._over_texts[v][:, None]),
                    self._weighted(scores, self._over_videos[t][None, :]),
                )

    def of_pairs(self, videos: Tensor, texts: slice) -> tuple[Tensor, Tensor]:
        """The same two scores, [texts] float32, of each text with one video."""
        scores = (self._videos[videos].double() * self._texts[texts].double()).sum(1).float()
        if self._temperature is None:
            return scores, scores
        return self._weighted(scores, self._over_texts[videos]), self._weighted(scores, self._over_videos[texts])

    def _products(self) -> Iterator[tuple[slice, slice, Tensor]]:
        for v in _slices(len(self._videos), self._tile):
            rows = self._videos[v].double()
            for t in _slices(len(self._texts), self._tile):
                yield v, t, (rows @ self._texts[t].double().T).float()

    def _weighted(self, scores: Tensor, log_sums: Tensor) -> Tensor:
        assert self._temperature is not None
        exact = scores.double()
        return (exact * (exact / self._temperature - log_sums).exp()).float()


def _slices(length: int, size: int) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))


def _check(video: np.ndarray, text: np.ndarray, owner: np.ndarray) -> None:
    if video.ndim != 2 or text.ndim != 2 or video.shape[1] != text.shape[1]:
        raise ValueError(f"vectors of videos {video.shape} and texts {text.shape} do not go together")
    if owner.shape != (len(text),) or len(text) == 0:
        raise ValueError(f"{len(text)} texts cannot belong to videos as {owner.shape} numbers say")
    if owner.min() < 0 or owner.max() >= len(video):
        raise ValueError(f"a text belongs to video {owner.min()} or {owner.max()}, of {len(video)}")
    for what, vectors in (("video", video), ("text", text)):
        # A comparison with NaN is never true, so that it would count as the best of all ranks.
        if not np.isfinite(vectors).all():
            raise ValueError(f"the {what} vectors hold values that are not finite")
