"""The contrastive loss of ViCLIP: every video is to find its text among those of the batch, every text its video.

Symmetric InfoNCE as in the paper, over the batches of all ranks together; and, beyond the paper, aware of clips that
come from one video.
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
    """value: mean of both ways, to call backward on. The accuracies: share of the batch whose best match is its own.

    All are tensors without dimensions; the accuracies carry no gradient.
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
    """The loss of one batch in one process.

    video, text: [n, d] embeddings, normalised here; computed in float32, also under autocast.
    sample_ids: [n] int64; rows of one id are each other's match, and share the target equally. None: all differ.
    video_numbers: [n] int64; clips of one video have one number. Needed for "masked".
    same_video: "masked" takes clips of one video that are not one sample out of each other's denominator. "apart" is
    seen to where batches are put together, and is like "negatives" here.
    Raises ValueError for "masked" without video numbers.
    """
    labels = _labels(len(video), video.device, sample_ids, video_numbers, same_video)
    both = _normalised(video, text)
    return _loss(both, both, labels, labels, temperature, same_video)


def gathered_contrastive_loss(
    video: Tensor,
    text: Tensor,
    *,
    temperature: Tensor | float,
    sample_ids: Tensor | None = None,
    video_numbers: Tensor | None = None,
    same_video: SameVideo = "negatives",
) -> Loss:
    """The loss of the batches of all ranks together, each rank giving its own; all must give equally many rows.

    Takes what `contrastive_loss` takes, and is that where there is one process. Every rank returns the same numbers:
    those of the whole batch. The gradients that a rank gets are such that their mean over ranks, which is what
    DistributedDataParallel takes, is the gradient that one process would have with the whole batch; that holds for
    the temperature too.

    A rank compares its own n rows with all N, both ways: n x N similarities rather than N x N.
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
    own = _normalised(video, text)  # [2, n, d]
    labels = _labels(len(video), video.device, sample_ids, video_numbers, same_video)  # [2, n]
    if sample_ids is None:
        labels[0] += rank * len(video)
    every = torch.cat(_Gathered.apply(own).unbind(), dim=1)  # [2, N, d]
    every_label = torch.cat(_gathered(labels).unbind(), dim=1)  # [2, N]
    share = _loss(own, every, labels, every_label, temperature, same_video)

    figures = torch.stack([share.value.detach(), share.video_to_text_accuracy, share.text_to_video_accuracy])
    torch.distributed.all_reduce(figures)
    value, video_to_text, text_to_video = figures / ranks
    # The number of the whole batch, with the gradient of this rank's share of it.
    return Loss(value + (share.value - share.value.detach()), video_to_text, text_to_video)


def _labels(
    count: int, device: torch.device, sample_ids: Tensor | None, video_numbers: Tensor | None, same_video: SameVideo
) -> Tensor:
    """[2, n] int64: sample ids and video numbers."""
    if same_video == "masked" and video_numbers is None:
        raise ValueError("clips of one video cannot be masked without video numbers")
    own = torch.arange(count, device=device)
    return torch.stack([own if given is None else given.to(device) for given in (sample_ids, video_numbers)])


def _normalised(video: Tensor, text: Tensor) -> Tensor:
    """[2, n, d] float32: both, each row of length 1."""
    return F.normalize(torch.stack([video.float(), text.float()]), dim=2)


def _loss(
    own: Tensor,
    every: Tensor,
    labels: Tensor,
    every_label: Tensor,
    temperature: Tensor | float,
    same_video: SameVideo,
) -> Loss:
    """own: [2, n, d], videos and texts of this rank. every: [2, N, d], of all ranks. labels: [2, n] and [2, N]."""
    match = labels[0][:, None] == every_label[0]  # [n, N]
    left_out = None
    if same_video == "masked":
        left_out = (labels[1][:, None] == every_label[1]) & ~match
    with torch.autocast(own.device.type, enabled=False):
        video_to_text = _one_way(own[0] @ every[1].T / temperature, match, left_out)
        text_to_video = _one_way(own[1] @ every[0].T / temperature, match, left_out)
    return Loss((video_to_text[0] + text_to_video[0]) / 2, video_to_text[1], text_to_video[1])


def _one_way(logits: Tensor, match: Tensor, left_out: Tensor | None) -> tuple[Tensor, Tensor]:
    """Cross-entropy and accuracy of rows that look for their match among the columns. All: [n, N]."""
    if left_out is not None:
        logits = logits.masked_fill(left_out, float("-inf"))
    targets = match / match.sum(1, keepdim=True)
    # Where there is no target there is no loss: and -inf · 0 would be no number.
    loss = -(targets * logits.log_softmax(1).masked_fill(~match, 0)).sum(1).mean()
    found = match.gather(1, logits.detach().argmax(1, keepdim=True))
    return loss, found.float().mean()


def _gathered(own: Tensor) -> Tensor:
    """[ranks, ...]: what every rank has. Without gradient."""
    every = own.new_empty(torch.distributed.get_world_size(), *own.shape)
    torch.distributed.all_gather(list(every.unbind()), own.contiguous())
    return every


class _Gathered(torch.autograd.Function):
    """`_gathered`, through which the gradients of all ranks' losses find their way back to the rank that they are of.

    Their sum, that is: the mean over ranks, which comes later, makes it the gradient of the mean loss.
    """

    @staticmethod
    def forward(ctx: object, own: Tensor) -> Tensor:
        return _gathered(own)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        torch.distributed.all_reduce(gradient)
        return gradient[torch.distributed.get_rank()]
