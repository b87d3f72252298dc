"""How a rank's rows of a batch are made to fit into memory. No result depends on it, but for rounding.

In order of what they cost: as many rows at once as fit; the same with parts of the network recomputed in the backward
pass; slices, whose embeddings are computed before the loss and a second time, with a graph, for the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

from internvid.viclip.model import Recompute

# Additional computation in forward passes, where a whole step is three. An MLP's first map is a third of a block. Whole
# blocks come after any number of slices: on an H100, recomputing them lost all that compiling gains (703 samples a
# second compiled or not, and 1,101 compiled without recomputation).
RECOMPUTATION: Mapping[Recompute, float] = {"nothing": 0.0, "activations": 0.05, "mlp": 1 / 3, "blocks": 1.05}
MIN_ROWS = 16  # of a slice: fewer do not fill a GPU
SHARE_OF_FREE = 0.92  # of the free memory: the rest is for workspaces of libraries and for fragmentation


@dataclass(frozen=True)
class MemoryPlan:
    """slices: number of parts of a rank's rows. recompute: what the backward pass computes again."""

    slices: int = 1
    recompute: Recompute = "nothing"

    @property
    def cost(self) -> float:
        """Computation in forward passes. The last slice is not computed twice: its graph is kept."""
        return 3 + (self.slices - 1) / self.slices + RECOMPUTATION[self.recompute]

    def __str__(self) -> str:
        slices = "all clips at once" if self.slices == 1 else f"{self.slices} slices"
        return slices if self.recompute == "nothing" else f"{slices}, recomputing {self.recompute}"


@dataclass(frozen=True)
class Memory:
    """Memory of a training process, in bytes.

    free: what training may take. fixed: for gradients, the optimiser's state and the like, whatever the rows. per_row:
    for each row of a slice until its backward pass, by what is recomputed.
    """

    free: float
    fixed: float
    per_row: Mapping[Recompute, float]

    def needed(self, plan: MemoryPlan, rows: int) -> float:
        return self.fixed + self.per_row[plan.recompute] * -(-rows // plan.slices)

    @classmethod
    def worst(cls, memories: list[Memory]) -> Memory:
        """Returns what holds for all of several processes."""
        return cls(
            min(memory.free for memory in memories),
            max(memory.fixed for memory in memories),
            {what: max(memory.per_row[what] for memory in memories) for what in get_args(Recompute)},
        )


def plans_that_fit(memory: Memory, rows: int) -> list[MemoryPlan]:
    """Returns the plans for so many rows that fit by calculation: the cheapest first, then ever less memory.

    Where none fits, the one that takes the least memory is returned.
    """
    max_slices = max(1, rows // MIN_ROWS)
    plans = [MemoryPlan(slices, what) for slices in range(1, max_slices + 1) for what in get_args(Recompute)]
    plans.sort(key=lambda plan: (plan.cost, plan.slices))
    fitting: list[MemoryPlan] = []
    limit = memory.free * SHARE_OF_FREE
    for plan in plans:
        needed = memory.needed(plan, rows)
        if needed <= limit:
            fitting.append(plan)
            limit = 0.9 * needed  # one that is tried because this did not fit must take clearly less
    return fitting or [min(plans, key=lambda plan: memory.needed(plan, rows))]


def first_that_runs(plans: list[MemoryPlan], runs: Callable[[MemoryPlan], bool]) -> MemoryPlan:
    """Returns the first plan that runs. Raises MemoryError if none does."""
    for plan in plans:
        if runs(plan):
            return plan
    raise MemoryError(f"training does not fit into the GPU's memory, not even as {plans[-1]}: use more GPUs")
