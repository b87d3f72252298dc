"""The contrastive loss of ViCLIP: each video is matched to its text among all texts of the batch, and vice versa.

It is the paper's symmetric InfoNCE over the batches of all ranks. In addition to the paper, clips of the same video
can be excluded as negatives of each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor
from torch.nn import functional as F

from internvid.viclip.recipe import SameVideo


@dataclass(frozen=True)
class Loss:
    """value: mean loss of the two directions, to call backward on. Accuracies: share of rows with a correct top match.

    All are scalar tensors; the accuracies carry no gradient.
    """

    value: Tensor
    video_to_text_accuracy: Tensor
    text_to_video_accuracy: Tensor

    @property
    def accuracy(self) -> Tensor:
        return (self.video_to_text_accuracy + self.text_to_video_accuracy) / 2


def contrastive_loss(
    video: Tensor,
    text: Tensor,
    *,
    temperature: Tensor | float,
    sample_ids: Tensor | None = None,
    video_numbers: Tensor | None = None,
    same_video: SameVideo = "negatives",
) -> Loss:
    """Returns the loss of one batch in one process.

    video, text: [n, d] embeddings, normalised here; computed in float32, also under autocast.
    sample_ids: [n] int64; rows with the same id match each other and share the target equally. None: all differ.
    video_numbers: [n] int64; clips of one video have the same number. Required for "masked".
    same_video: "masked" excludes different clips of one video from each other's denominator. "apart" concerns how
    batches are formed (`sampling`), and equals "negatives" here.
    Raises ValueError for "masked" without video numbers.
    """
    labels = _labels(len(video), video.device, sample_ids, video_numbers, same_video)
    features = _normalised(video, text)
    return _loss(features, features, labels, labels, temperature, same_video)


def gathered_contrastive_loss(
    video: Tensor,
    text: Tensor,
    *,
    temperature: Tensor | float,
    sample_ids: Tensor | None = None,
    video_numbers: Tensor | None = None,
    same_video: SameVideo = "negatives",
) -> Loss:
    """Returns the loss over the batches of all ranks together. All ranks must pass the same number of rows.

    Parameters are those of `contrastive_loss`, which this equals with one process. Every rank returns the same
    values: those of the whole batch. The mean over ranks of the gradients, which DistributedDataParallel computes,
    equals the gradient of one process with the whole batch; this holds for the temperature too.

    Each rank compares its own n rows with all N rows in both directions: n x N similarities rather than N x N.
    """
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return contrastive_loss(
            video,
            text,
            temperature=temperature,
            sample_ids=sample_ids,
            video_numbers=video_numbers,
            same_video=same_video,
        )
    ranks, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
    features = _normalised(video, text)  # [2, n, d]
    labels = _labels(len(video), video.device, sample_ids, video_numbers, same_video)  # [2, n]
    if sample_ids is None:
        labels[0] += rank * len(video)
    all_features = torch.cat(_Gathered.apply(features).unbind(), dim=1)  # [2, N, d]
    all_labels = torch.cat(_gathered(labels).unbind(), dim=1)  # [2, N]
    rank_loss = _loss(features, all_features, labels, all_labels, temperature, same_video)

    figures = torch.stack(
        [rank_loss.value.detach(), rank_loss.video_to_text_accuracy, rank_loss.text_to_video_accuracy]
    )
    torch.distributed.all_reduce(figures)
    value, video_to_text, text_to_video = figures / ranks
    # The value of the whole batch, with the gradient of this rank's share.
    return Loss(value + (rank_loss.value - rank_loss.value.detach()), video_to_text, text_to_video)


def _labels(
    count: int, device: torch.device, sample_ids: Tensor | None, video_numbers: Tensor | None, same_video: SameVideo
) -> Tensor:
    """Returns [2, n] int64: sample ids and video numbers."""
    if same_video == "masked" and video_numbers is None:
        raise ValueError("same_video='masked' needs video numbers: they say which clips are of one video")
    row_numbers = torch.arange(count, device=device)
    return torch.stack(
        [row_numbers if numbers is None else numbers.to(device) for numbers in (sample_ids, video_numbers)]
    )


def _normalised(video: Tensor, text: Tensor) -> Tensor:
    """Returns [2, n, d] float32: videos and texts, each row of length 1."""
    return F.normalize(torch.stack([video.float(), text.float()]), dim=2)


def _loss(
    features: Tensor,
    all_features: Tensor,
    labels: Tensor,
    all_labels: Tensor,
    temperature: Tensor | float,
    same_video: SameVideo,
) -> Loss:
    """Compares this rank's rows with those of all ranks.

    features: [2, n, d], videos and texts of this rank; labels: [2, n]. all_features, all_labels: [2, N, d] and [2, N].
    """
    match = labels[0][:, None] == all_labels[0]  # [n, N]
    excluded = None
    if same_video == "masked":
        excluded = (labels[1][:, None] == all_labels[1]) & ~match
    with torch.autocast(features.device.type, enabled=False):
        video_to_text = _one_direction(features[0] @ all_features[1].T / temperature, match, excluded)
        text_to_video = _one_direction(features[1] @ all_features[0].T / temperature, match, excluded)
    return Loss((video_to_text[0] + text_to_video[0]) / 2, video_to_text[1], text_to_video[1])


def _one_direction(logits: Tensor, match: Tensor, excluded: Tensor | None) -> tuple[Tensor, Tensor]:
    """Returns cross-entropy and accuracy of matching rows to columns. All arguments: [n, N]."""
    if excluded is not None:
        logits = logits.masked_fill(excluded, float("-inf"))
    targets = match / match.sum(1, keepdim=True)
    # Entries without a target add no loss, and -inf · 0 would be NaN.
    loss = -(targets * logits.log_softmax(1).masked_fill(~match, 0)).sum(1).mean()
    correct = match.gather(1, logits.detach().argmax(1, keepdim=True))
    return loss, correct.float().mean()


def _gathered(rows: Tensor) -> Tensor:
    """Returns [ranks, ...]: the rows of every rank. Without gradient."""
    gathered = rows.new_empty(torch.distributed.get_world_size(), *rows.shape)
    torch.distributed.all_gather(list(gathered.unbind()), rows.contiguous())
    return gathered


class _Gathered(torch.autograd.Function):
    """`_gathered` with a gradient: a rank receives, for its rows, the sum of the gradients of all ranks' losses.

    The mean over ranks, which is taken later, turns the sum into the gradient of the mean loss.
    """

    @staticmethod
    def forward(ctx: object, rows: Tensor) -> Tensor:
        return _gathered(rows)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        torch.distributed.all_reduce(gradient)
        return gradient[torch.distributed.get_rank()]
