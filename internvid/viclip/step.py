"""One training step: the gradients of the loss of the whole batch, and how the step is fitted into a GPU's memory."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from internvid.data import rows_of_rank
from internvid.viclip.loss import Loss, contrastive_loss, gathered_contrastive_loss
from internvid.viclip.memory import MIN_ROWS, Memory, MemoryPlan, first_that_runs, plans_that_fit
from internvid.viclip.model import Recompute, ViCLIP, path_scales
from internvid.viclip.optimisation import clear_key_gradients, key_biases
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.ranks import GradientMean, Ranks
from internvid.viclip.recipe import Recipe, SameVideo
from internvid.viclip.samples import Slice, Upload, Uploads, empty_slice
from internvid.viclip.sampling import Batch, PhasePlan

# Shapes of blocks that may be compiled: two towers, two phases, slices of two sizes, with and without a graph, the last
# block apart. torch's own limit is 8; beyond it the rest would quietly run uncompiled.
MAX_COMPILED_SHAPES = 64
BYTES_PER_PAIR = 40  # of a video and a text that are compared: similarities, targets and gradients of both directions


class TrainingStep:
    """Computes the gradients of the loss of the whole batch; this rank computes its own rows, in slices."""

    def __init__(
        self, recipe: Recipe, model: ViCLIP, ranks: Ranks, device: torch.device, video_numbers: np.ndarray
    ) -> None:
        self.recipe, self.model, self.ranks, self.device = recipe, model, ranks, device
        self.video_numbers = video_numbers
        self.train_text = not recipe.freeze_text
        # The sampler keeps clips of one video apart as far as possible; the remaining pairs are masked.
        self.same_video: SameVideo = "masked" if recipe.same_video == "apart" else recipe.same_video
        self.preprocessing = Preprocessing.from_recipe(recipe)
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.key_biases = key_biases(model)
        # The temperature is not part of the towers' backward pass.
        self.mean = GradientMean([parameter for parameter in self.trained if parameter is not model.temp], ranks)
        self.uploads = Uploads(device)

    def gradients(self, batch: Batch, slices: list[Slice], first: Upload, recompute: Recompute) -> tuple[Loss, Tensor]:
        """Sets the parameters' gradients to those of the whole batch, on every rank.

        first: the upload of the first slice, which the caller started. Returns the loss over all ranks, and the norm of
        the gradient; neither is waited for.

        One slice takes one forward and one backward pass. With several slices, the embeddings of all but the last one
        are computed without a graph, then the loss's gradient with respect to all embeddings, then each of them again
        with a graph for its backward pass. This needs the memory of one slice; the negatives are those of the whole
        batch.
        """
        self.model.recompute(recompute)
        for parameter in self.trained:
            parameter.grad = None
        uploaded = self.uploads.each([*slices, *slices[:-1]], first)
        embeddings = []
        for number in range(len(slices)):
            with torch.set_grad_enabled(number == len(slices) - 1):
                embeddings.append(self._embedded(next(uploaded)))
        graph = embeddings[-1]
        video, text = (torch.cat([pair[side].detach() for pair in embeddings]) for side in (0, 1))
        loss, (video_gradient, text_gradient, temperature_gradient) = self._loss(batch, video, text)
        ends = np.cumsum([len(slice_) for slice_ in slices])
        order = [len(slices) - 1, *range(len(slices) - 1)]  # the last slice first: its graph is there
        del embeddings
        for number in order:
            pair = graph if number == len(slices) - 1 else self._embedded(next(uploaded))
            graph = (video, text)  # frees the last slice's graph
            rows = slice(ends[number] - len(slices[number]), ends[number])
            with self._averaged(number == order[-1]):
                self._backward(pair, (video_gradient[rows], text_gradient[rows]))
        self.model.temp.grad = temperature_gradient
        self.mean.of(temperature_gradient)
        clear_key_gradients(self.key_biases)
        gradients = [parameter.grad for parameter in self.trained if parameter.grad is not None]
        return loss, torch.nn.utils.get_total_norm(gradients)

    @contextmanager
    def _averaged(self, is_last: bool) -> Iterator[None]:
        """Averages gradients over ranks during the last slice's backward pass: before it they are not complete."""
        if not is_last:
            yield
            return
        with self.mean.during():
            yield

    def _embedded(self, slice_: Slice) -> tuple[Tensor, Tensor]:
        """Returns the embeddings of video and text, each [rows, d] float32. slice_: on the device."""
        drop_path = self.recipe.drop_path
        scales = path_scales(slice_.path_chances, drop_path) if drop_path else None
        patches = self.preprocessing.normalised(slice_.patches)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
            video = self.model.encode_patches(patches, frames=self.recipe.frames, keep=slice_.keep, path_scales=scales)
            with torch.set_grad_enabled(self.train_text and torch.is_grad_enabled()):
                text = self.model.encode_text(slice_.token_ids)
        return video.float(), text.float()

    def _backward(self, embeddings: tuple[Tensor, Tensor], gradients: tuple[Tensor, Tensor]) -> None:
        sides = 2 if self.train_text else 1
        torch.autograd.backward(embeddings[:sides], gradients[:sides])

    def _loss(self, batch: Batch, video: Tensor, text: Tensor) -> tuple[Loss, tuple[Tensor, ...]]:
        """Returns the loss over all ranks, and its gradients with respect to video, text and temperature.

        video, text: [rows, d] of this rank. The mean over ranks of the resulting parameter gradients is the gradient
        of the whole batch.
        """
        rows = len(batch.clips)
        first, end = rows_of_rank(rows, self.ranks.rank, self.ranks.count)
        is_even = rows % self.ranks.count == 0
        if is_even:
            compared_clips, loss_function = batch.clips[first:end], gathered_contrastive_loss
        else:
            # Some ranks have one row more, so each rank computes the loss of the whole batch.
            compared_clips, loss_function = batch.clips, contrastive_loss
            video, text = (self.ranks.gather_rows(side, rows) for side in (video, text))
        video.requires_grad_()
        text.requires_grad_()
        loss = loss_function(
            video,
            text,
            temperature=self.model.temperature,
            sample_ids=torch.from_numpy(compared_clips).to(self.device),
            video_numbers=torch.from_numpy(self.video_numbers[compared_clips]).to(self.device),
            same_video=self.same_video,
        )
        video_gradient, text_gradient, temperature_gradient = torch.autograd.grad(
            loss.value, [video, text, self.model.temp]
        )
        if not is_even:  # each row's gradient is on one rank only: scaling undoes the division by the mean over ranks
            video_gradient, text_gradient = (
                side[first:end] * self.ranks.count for side in (video_gradient, text_gradient)
            )
        return loss, (video_gradient, text_gradient, temperature_gradient)

    # ---- before the first step ----

    def compile(self) -> None:
        """Compiles the blocks of both towers at their first use.

        Blocks of a tower share what is compiled, so it takes seconds where a whole tower takes minutes, and gradients
        are complete block by block, which averaging them during the backward pass needs.
        """
        for tower in (self.model.vision_encoder, self.model.text_encoder):
            for block in tower.transformer.resblocks:
                block.compile(dynamic=False, recompile_limit=MAX_COMPILED_SHAPES)

    def trial(self, rows: int, mask_ratio: float, recompute: Recompute) -> None:
        """Computes the towers forward and backward on made-up rows of this rank; leaves no gradients."""
        self.model.recompute(recompute)
        slice_ = empty_slice(self.recipe, rows, mask_ratio)
        slice_.patches.zero_()
        slice_.path_chances.fill_(1.0)
        if slice_.keep is not None:
            slice_.keep.copy_(torch.arange(slice_.keep.shape[1]))
        pair = self._embedded(self.uploads.begin(slice_).ready())
        self._backward(pair, (torch.ones_like(pair[0]), torch.ones_like(pair[1])))
        for parameter in self.trained:
            parameter.grad = None

    def fitted(
        self, phases: Sequence[PhasePlan], *, compile: bool, note: Callable[[str], object]
    ) -> dict[int, MemoryPlan]:
        """Finds for each phase the cheapest plan by which its batches fit into the GPU's memory, by its number.

        The need is calculated from small trials, and the plan is then tried in full size, compiled if that is asked
        for. All ranks get the same plans. note: is told the result.
        """
        rows_of_phase = [-(-phase.batch_size // self.ranks.count) for phase in phases]
        memories = [
            Memory.worst(self.ranks.gather(self._memory(phase, rows)))
            for phase, rows in zip(phases, rows_of_phase, strict=True)
        ]
        if compile:
            self.compile()  # not before: every size of the small trials would be compiled
        plans = {}
        for phase, rows, memory in zip(phases, rows_of_phase, memories, strict=True):
            began = time.monotonic()

            def runs(plan: MemoryPlan, phase: PhasePlan = phase, rows: int = rows, memory: Memory = memory) -> bool:
                return all(self.ranks.gather(self._runs(plan, rows, phase.phase.mask_ratio, memory.fixed)))

            plan = first_that_runs(plans_that_fit(memory, rows), runs)
            needed, how = memory.needed(plan, rows), "compiling and trying it" if compile else "trying it"
            note(
                f"{phase.phase.name}: {rows:,} clips a step on each GPU, {plan}; by calculation {needed / 2**30:.1f} "
                f"of {memory.free / 2**30:.1f} GiB; {how} took {time.monotonic() - began:.0f} s"
            )
            plans[phase.number] = plan
        return plans

    def _memory(self, phase: PhasePlan, rows: int) -> Memory:
        """Measures what rows take, by trials of few rows."""
        parameters = sum(parameter.nbytes for parameter in self.trained)
        per_row: dict[Recompute, float] = {}
        beside = 0.0
        self.trial(1, phase.phase.mask_ratio, "nothing")  # loads the libraries that stay in memory
        for what in get_args(Recompute):
            peaks = []
            for trial_rows in (MIN_ROWS, 2 * MIN_ROWS):
                torch.cuda.reset_peak_memory_stats(self.device)
                before = torch.cuda.memory_allocated(self.device)
                self.trial(trial_rows, phase.phase.mask_ratio, what)
                peaks.append(torch.cuda.max_memory_allocated(self.device) - before)
            per_row[what] = max(peaks[1] - peaks[0], 1) / MIN_ROWS
            beside = max(beside, peaks[0] - per_row[what] * MIN_ROWS)
        copies = 3 if self.ranks.count == 1 else 4  # gradients, AdamW's two moments, and gradients on their way
        unused = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return Memory(
            free=torch.cuda.mem_get_info(self.device)[0] + unused,
            fixed=copies * parameters + max(beside - parameters, 0) + BYTES_PER_PAIR * rows * phase.batch_size,
            per_row=per_row,
        )

    def _runs(self, plan: MemoryPlan, rows: int, mask_ratio: float, fixed: float) -> bool:
        """Tells whether a slice of the plan runs on this GPU, with what a step keeps beside it."""
        ballast: Any = None
        try:
            gradients = sum(parameter.nbytes for parameter in self.trained)
            ballast = torch.empty(int(max(fixed - gradients, 0)), dtype=torch.uint8, device=self.device)
            self.trial(-(-rows // plan.slices), mask_ratio, plan.recompute)
            return True
        except torch.OutOfMemoryError:
            return False
        finally:
            del ballast
            for parameter in self.trained:
                parameter.grad = None
            gc.collect()
            torch.cuda.empty_cache()
