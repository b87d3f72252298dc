"""The processes that train together, and the mean of their gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from internvid.data import rows_of_rank

BYTES_PER_BUCKET = 50 << 20  # of gradients in one all-reduce; 24 for ViCLIP-L/14


@dataclass(frozen=True)
class Ranks:
    """The processes that train together; a single one if torch.distributed is not initialised."""

    rank: int
    count: int

    @classmethod
    def current(cls) -> Ranks:
        if not torch.distributed.is_initialized():
            return cls(0, 1)
        return cls(torch.distributed.get_rank(), torch.distributed.get_world_size())

    @property
    def first(self) -> bool:
        return self.rank == 0

    def barrier(self) -> None:
        if self.count > 1:
            torch.distributed.barrier()

    def gather(self, value: Any) -> list[Any]:
        """Returns the value of every rank. Also a barrier."""
        values: list[Any] = [value]
        if self.count > 1:
            values = [None] * self.count
            torch.distributed.all_gather_object(values, value)
        return values

    def check_same_step(self, step: int) -> None:
        """Raises ValueError if ranks resume at different steps. Also a barrier: no rank writes before all have read."""
        steps = self.gather(step)
        if len(set(steps)) > 1:
            raise ValueError(f"ranks read states of different steps, {steps}: all ranks must see the same folder")

    def gather_rows(self, rank_rows: Tensor, count: int) -> Tensor:
        """Returns the rows of all ranks, [count, d]. Ranks may have different numbers of rows. Without gradient."""
        first, end = rows_of_rank(count, self.rank, self.count)
        gathered = rank_rows.new_zeros(count, rank_rows.shape[1])
        gathered[first:end] = rank_rows
        torch.distributed.all_reduce(gathered)
        return gathered


class GradientMean:
    """Replaces gradients by their mean over ranks, while the backward pass still computes further ones.

    Parameters are divided into buckets, the last ones first, because their gradients come first. A bucket is sent as
    soon as its gradients are complete, and all earlier buckets are sent: so all ranks send them in the same order.
    started_early: number of buckets that were sent before the backward pass ended, in the last `during`.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], ranks: Ranks, *, bytes_per_bucket: int = BYTES_PER_BUCKET
    ) -> None:
        self.ranks = ranks
        self.buckets: list[list[nn.Parameter]] = []
        self.bucket_of: dict[nn.Parameter, int] = {}
        self.started_early = 0
        self._sent: list[tuple[list[Tensor], Tensor, Any]] | None = None  # None: outside of `during`
        if ranks.count == 1:
            return
        size = bytes_per_bucket
        for parameter in reversed(parameters):
            if size + parameter.nbytes > bytes_per_bucket:
                self.buckets.append([])
                size = 0
            size += parameter.nbytes
            self.buckets[-1].append(parameter)
            self.bucket_of[parameter] = len(self.buckets) - 1
            parameter.register_post_accumulate_grad_hook(self._complete)

    @contextmanager
    def during(self) -> Iterator[None]:
        """Averages the gradients that the backward pass inside of it completes; they are means when it is left."""
        self._missing = [len(bucket) for bucket in self.buckets]
        sent: list[tuple[list[Tensor], Tensor, Any]] = []
        self._sent = sent
        try:
            yield
            self.started_early = len(sent)
            while len(sent) < len(self.buckets):
                self._send()  # buckets with parameters that this backward pass did not reach
            for gradients, flat, work in sent:
                work.wait()
                flat /= self.ranks.count
                parts = flat.split([gradient.numel() for gradient in gradients]) if gradients else ()
                for gradient, part in zip(gradients, parts, strict=True):
                    gradient.copy_(part.view_as(gradient))
        finally:
            self._sent = None

    def of(self, gradient: Tensor) -> None:
        """Averages one gradient at once."""
        if self.ranks.count > 1:
            torch.distributed.all_reduce(gradient)
            gradient /= self.ranks.count

    def _complete(self, parameter: nn.Parameter) -> None:
        if self._sent is None:
            return  # a slice before the last one
        self._missing[self.bucket_of[parameter]] -= 1
        while len(self._sent) < len(self.buckets) and self._missing[len(self._sent)] == 0:
            self._send()

    def _send(self) -> None:
        """Sends the next bucket. Parameters without a gradient have none on any rank."""
        assert self._sent is not None
        bucket = self.buckets[len(self._sent)]
        gradients = [parameter.grad for parameter in bucket if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients] or [bucket[0].new_zeros(1)])
        self._sent.append((gradients, flat, torch.distributed.all_reduce(flat, async_op=True)))
