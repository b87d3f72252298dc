"""Metrics of a fine-tuned checkpoint that need its heads: classes by the class head, retrieval with re-ranking.

Retrieval by vectors finds the candidates of a query; the match head, which reads a video and a text together, puts the
best of them in order. It is too slow for all pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from internvid.batches import in_batches
from internvid.evaluation.classification import Accuracy, accuracy, ranks_of_labels
from internvid.evaluation.retrieval import Ranks, retrieval_ranks
from internvid.viclip.checkpoint import load_checkpoint
from internvid.viclip.encoder import Encoder
from internvid.viclip.frame_choice import middle_frames
from internvid.viclip.heads import Heads, MatchHead, load_heads
from internvid.viclip.model import patches_of
from internvid.viclip.precision import Precision

CANDIDATES = 32  # of a query, that are put in order
PAIRS_PER_BATCH = 256


class TunedEncoder(Encoder):
    """The encoder of a fine-tuned checkpoint, with its heads."""

    heads: Heads

    @classmethod
    def load(
        cls,
        folder: Path,
        device: str | torch.device = "cpu",
        *,
        frames: int | None = None,
        precision: Precision = "auto",
    ) -> Encoder:
        """Returns the encoder of a ViCLIP's folder; one with heads where there are any. Raises as `load_checkpoint`."""
        checkpoint = load_checkpoint(folder)
        heads = load_heads(folder, checkpoint.model.config, device)
        if heads is None:
            return Encoder(checkpoint, device, frames=frames, precision=precision)
        encoder = cls(checkpoint, device, frames=frames, precision=precision)
        encoder.heads = heads
        return encoder

    @torch.inference_mode()
    def match_tokens_of_videos(self, videos: Sequence[np.ndarray]) -> Tensor:
        """Returns [n, m, h] float16 on the CPU, of videos as `encode_videos` takes them."""
        head, parts = self._match_head, []
        for batch in in_batches(list(videos), self.clips_per_batch):
            chosen = [video[middle_frames(len(video), self.frames)] for video in batch]
            pixels = self.preprocessing.pixels(chosen).to(self.device)
            with self._autocast():
                patches = patches_of(self.preprocessing.normalised(pixels), self.model.config.patch_size, None)
                tokens = self.model.vision_encoder.space_time_tokens(patches, self.frames)
                parts.append(head.video_tokens(tokens, self.frames).to("cpu", torch.float16))
        return torch.cat(parts)

    @torch.inference_mode()
    def match_tokens_of_texts(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Returns [n, s, h] float16 and token ids, [n, s], on the CPU, of texts that are prepared."""
        head, parts, token_ids = self._match_head, [], self.tokenizer(list(texts))
        for batch in token_ids.split(self.clips_per_batch):
            with self._autocast():
                states = self.model.text_encoder.states(batch.to(self.device))
                parts.append(head.text_tokens(states).to("cpu", torch.float16))
        return torch.cat(parts), token_ids

    @torch.inference_mode()
    def match_scores(self, video: Tensor, text: Tensor, token_ids: Tensor) -> np.ndarray:
        """Returns the score of each pair, [n] float32. Arguments: as the two methods above return them, row by row."""
        dtype = next(self._match_head.parameters()).dtype
        with self._autocast():
            scores = self._match_head(
                video.to(self.device, dtype), text.to(self.device, dtype), token_ids.to(self.device)
            )
        return scores.cpu().numpy()

    @property
    def _match_head(self) -> MatchHead:
        assert self.heads.match_head is not None
        return self.heads.match_head


def heads_of(encoder: object) -> Heads | None:
    """Returns the heads of the encoder of a fine-tuned checkpoint; None of any other."""
    return encoder.heads if isinstance(encoder, TunedEncoder) else None


def head_accuracy(heads: Heads, vectors: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Accuracy | None:
    """Returns the accuracy of the class head; None where it knows other classes than the benchmark has.

    vectors: [videos, d] float32, L2-normalised. labels: [videos] int, positions in `classes`.
    """
    head = heads.class_head
    if head is None or not set(classes) <= set(heads.classes):
        return None
    order = [heads.classes.index(name) for name in classes]
    weight, bias = (value.detach().cpu().double().numpy()[order] for value in (head.weight, head.bias))
    return accuracy(ranks_of_labels(vectors.astype(np.float64) @ weight.T + bias, labels), classes=len(classes))


@dataclass(frozen=True)
class MatchTokens:
    """What the match head reads. video: [videos, m, h]. text: [texts, s, h]. token_ids: [texts, s]."""

    video: Tensor
    text: Tensor
    token_ids: Tensor


def reranked(
    encoder: TunedEncoder,
    tokens: MatchTokens,
    video: np.ndarray,
    text: np.ndarray,
    video_of_text: np.ndarray,
    *,
    candidates: int = CANDIDATES,
) -> Ranks:
    """Returns the ranks in both directions after the best candidates by vectors were put in order by the match head.

    The order is by the head's score plus the cosine over the temperature. An answer that is no candidate keeps its rank
    by vectors, which is beyond theirs. Ties count as wrong. video, text, video_of_text: as of `retrieval_ranks`.
    """
    by_vectors = retrieval_ranks(video, text, video_of_text)
    temperature = encoder.model.temperature.item()
    owner = np.asarray(video_of_text)
    with_text = np.unique(owner)

    def ranks(queries: np.ndarray, answers: np.ndarray, is_text: bool, old: np.ndarray) -> np.ndarray:
        numbers = np.arange(len(queries)) if is_text else with_text
        new = old.copy()
        for place, query in enumerate(numbers.tolist()):
            cosines = (answers.astype(np.float64) @ queries[query].astype(np.float64)).astype(np.float32)
            chosen = np.argsort(-cosines, kind="stable")[:candidates]
            is_right = chosen == owner[query] if is_text else owner[chosen] == query
            if not is_right.any():
                continue
            pairs = (chosen, np.full(len(chosen), query)) if is_text else (np.full(len(chosen), query), chosen)
            scores = _scores(encoder, tokens, *pairs) + cosines[chosen] / temperature
            new[place] = 1 + int((scores[~is_right] >= scores[is_right].max()).sum())
        return new

    return Ranks(
        ranks(text, video, True, by_vectors.text_to_video),
        ranks(video, text, False, by_vectors.video_to_text),
    )


def _scores(encoder: TunedEncoder, tokens: MatchTokens, videos: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Returns the match head's score of each pair. videos, texts: positions, [pairs] int."""

    def parts() -> Iterator[np.ndarray]:
        for start in range(0, len(videos), PAIRS_PER_BATCH):
            of_videos, of_texts = (torch.from_numpy(each[start : start + PAIRS_PER_BATCH]) for each in (videos, texts))
            yield encoder.match_scores(tokens.video[of_videos], tokens.text[of_texts], tokens.token_ids[of_texts])

    return np.concatenate(list(parts()))
