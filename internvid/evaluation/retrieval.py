"""Text-to-video and video-to-text retrieval: the rank of each query's correct answer.

Scores are computed tile by tile: a million videos by a million texts need memory for the vectors and a few tiles.
Scores are summed in float64 and rounded to float32 before comparison. Equal vectors therefore get equal scores, for
all tile sizes and numbers of threads, and ranks are reproducible. (Summed in float32, the scores of equal vectors
differ in the last bit, depending on their position.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

TILE = 2048  # videos and texts per tile: 32 MiB of float64, and a few times that with dual softmax
RECALLS = (1, 5, 10)


@dataclass(frozen=True)
class Ranks:
    """Ranks; 1 is the best. text_to_video: [texts] int64. video_to_text: [videos that have a text] int64, in order."""

    text_to_video: np.ndarray
    video_to_text: np.ndarray


@dataclass(frozen=True)
class RankSummary:
    """recall: k -> share of queries with a rank of at most k. median, mean: of the ranks. count: number of queries."""

    recall: dict[int, float]
    median: float
    mean: float
    count: int


@dataclass(frozen=True)
class RepeatedTexts:
    """texts: number of texts that another video has too, word for word; no model can tell these videos apart by them.

    text_to_video, video_to_text: the largest R@1 that is possible with them, as shares.
    """

    texts: int
    text_to_video: float
    video_to_text: float


def repeated_texts(texts: Sequence[str], video_of_text: np.ndarray) -> RepeatedTexts:
    """Counts texts of several videos. texts: as the model reads them. video_of_text: [texts] int.

    Text to video: all queries of one wording get the same ranking, so only those of the video ranked first are right.
    Video to text: a wording of another video scores as high, which counts as wrong, unless the video has a text of its
    own. Raises ValueError if there are no texts.
    """
    if not texts:
        raise ValueError("there are no texts to count")
    copies: dict[str, Counter[int]] = {}
    for text, video in zip(texts, video_of_text.tolist(), strict=True):
        copies.setdefault(text, Counter())[video] += 1
    shared = [videos for videos in copies.values() if len(videos) > 1]
    right = sum(max(videos.values()) for videos in copies.values())
    with_own_text = {next(iter(videos)) for videos in copies.values() if len(videos) == 1}
    return RepeatedTexts(
        sum(sum(videos.values()) for videos in shared),
        right / len(texts),
        len(with_own_text) / len(np.unique(video_of_text)),
    )


def retrieval_ranks(
    video: np.ndarray,
    text: np.ndarray,
    video_of_text: np.ndarray,
    *,
    dual_softmax_temperature: float | None = None,
    tile: int = TILE,
    device: str = "cpu",
) -> Ranks:
    """Returns the ranks in both directions. Ties count as wrong: rank = 1 + number of wrong answers that score at least
    as high as the correct one.

    video: [videos, d], text: [texts, d] float32, L2-normalised. video_of_text: [texts] int, the video of each text.
    A video with several texts gets the rank of the best one; a video without text is no query, but a candidate.
    dual_softmax_temperature: scores s become s * softmax(s / temperature) over the queries (the paper's second
    figure, with 1.0); this needs all queries together, which a search engine does not have. tile: videos and texts
    per tile. Raises ValueError for shapes that do not match, no texts, and values that are not finite.
    """
    owner_numbers = np.asarray(video_of_text, np.int64)
    _check(video, text, owner_numbers)
    videos = torch.as_tensor(video, device=device)
    texts = torch.as_tensor(text, device=device)
    owner = torch.as_tensor(owner_numbers, device=device)
    scorer = _Scorer(videos, texts, tile)
    if dual_softmax_temperature is not None:
        scorer.normalise(dual_softmax_temperature)

    # Score of each query's correct answer; for a video, of its best text.
    text_own_scores = torch.empty(len(texts), device=device)
    video_best_scores = torch.full((len(videos),), -torch.inf, device=device)
    for t in _slices(len(texts), tile):
        video_scores, text_scores = scorer.pair_scores(owner[t], t)
        text_own_scores[t] = video_scores
        video_best_scores.scatter_reduce_(0, owner[t], text_scores, "amax")

    better_videos = torch.zeros(len(texts), dtype=torch.int64, device=device)
    better_texts = torch.zeros(len(videos), dtype=torch.int64, device=device)
    for v, t, video_scores, text_scores in scorer.tiles():
        # Excludes correct answers: they are not compared with themselves, nor with each other.
        owned = torch.nonzero((owner[t] >= v.start) & (owner[t] < v.stop)).squeeze(1)
        rows = owner[t][owned] - v.start
        video_scores[rows, owned] = -torch.inf
        text_scores[rows, owned] = -torch.inf
        # Summing booleans as int32 takes a quarter of the time of int64.
        better_videos[t] += (video_scores >= text_own_scores[t][None, :]).sum(0, dtype=torch.int32)
        better_texts[v] += (text_scores >= video_best_scores[v][:, None]).sum(1, dtype=torch.int32)
    videos_with_text = np.unique(owner_numbers)
    return Ranks(better_videos.cpu().numpy() + 1, better_texts.cpu().numpy()[videos_with_text] + 1)


def summarise(ranks: np.ndarray) -> RankSummary:
    """Computes recalls, median and mean of ranks. Raises ValueError if there are none."""
    if len(ranks) == 0:
        raise ValueError("there are no ranks to summarise")
    return RankSummary(
        {k: float((ranks <= k).mean()) for k in RECALLS},
        float(np.median(ranks)),
        float(ranks.mean()),
        len(ranks),
    )


def chance(candidates: int, right: np.ndarray) -> RankSummary:
    """Returns the expected recalls and mean rank of random scores; as median, the rank that half of the queries reach.

    candidates: number of ranked answers. right: [queries] int, number of correct answers of each query.
    The best of p correct answers among m is below rank r with probability C(m - p, r) / C(m, r).
    """
    right = np.asarray(right, np.int64)
    positions = np.arange(candidates)
    share_beyond = np.zeros(candidates)  # at index r: expected share of queries with a rank above r + 1
    for count, queries in zip(*np.unique(right, return_counts=True), strict=True):
        share_beyond += np.cumprod(np.maximum(candidates - count - positions, 0) / (candidates - positions)) * queries
    share_within = 1 - share_beyond / len(right)
    return RankSummary(
        {k: float(share_within[min(k, candidates) - 1]) for k in RECALLS},
        float(np.argmax(share_within >= 0.5 - 1e-12) + 1),
        float(((candidates + 1) / (right + 1)).mean()),
        len(right),
    )


class _Scorer:
    """Computes the scores of tiles for both directions: plain, or multiplied by their softmax."""

    def __init__(self, videos: Tensor, texts: Tensor, tile: int) -> None:
        self._videos, self._texts, self._tile = videos, texts, tile
        self._temperature: float | None = None
        self._over_texts = self._over_videos = torch.empty(0)

    def normalise(self, temperature: float) -> None:
        """Computes the log denominators of the softmaxes, [videos] and [texts] float64, in one pass over all tiles."""
        self._over_texts = torch.full((len(self._videos),), -torch.inf, dtype=torch.float64, device=self._videos.device)
        self._over_videos = torch.full((len(self._texts),), -torch.inf, dtype=torch.float64, device=self._texts.device)
        for v, t, scores in self._products():
            exponents = scores.double() / temperature
            self._over_texts[v] = torch.logaddexp(self._over_texts[v], exponents.logsumexp(1))
            self._over_videos[t] = torch.logaddexp(self._over_videos[t], exponents.logsumexp(0))
        self._temperature = temperature

    def tiles(self) -> Iterator[tuple[slice, slice, Tensor, Tensor]]:
        """Yields slices of videos and texts, and their scores for text-to-video and video-to-text.

        Scores are [videos, texts] float32.
        """
        for v, t, scores in self._products():
            if self._temperature is None:
                yield v, t, scores, scores
            else:
                # The softmax is over the queries: for text-to-video, over the texts.
                yield (
                    v,
                    t,
                    self._weighted(scores, self._over_texts[v][:, None]),
                    self._weighted(scores, self._over_videos[t][None, :]),
                )

    def pair_scores(self, videos: Tensor, texts: slice) -> tuple[Tensor, Tensor]:
        """Returns the same two scores, [texts] float32, for each text with one video.

        videos: [texts] int64, the video that each text is compared with.
        """
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
        raise ValueError(f"vectors of videos {video.shape} and texts {text.shape} do not match")
    if owner.shape != (len(text),) or len(text) == 0:
        raise ValueError(f"{len(text)} texts need as many video numbers, not {owner.shape}")
    if owner.min() < 0 or owner.max() >= len(video):
        raise ValueError(f"a text belongs to video {owner.min()} or {owner.max()}, of {len(video)}")
    for kind, vectors in (("video", video), ("text", text)):
        # A comparison with NaN is false, so NaN would get the best rank.
        if not np.isfinite(vectors).all():
            raise ValueError(f"the {kind} vectors hold values that are not finite")
