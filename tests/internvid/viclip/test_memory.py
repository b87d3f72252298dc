"""Which plan is chosen for a batch, by what it needs and costs. The figures are those of an H100 and ViCLIP-L/14."""

from itertools import pairwise

import pytest

from internvid.viclip.memory import Memory, MemoryPlan, first_that_runs, plans_that_fit

GIB = 1 << 30
PER_ROW = {"nothing": 0.18 * GIB, "activations": 0.14 * GIB, "mlp": 0.09 * GIB, "blocks": 0.03 * GIB}


def memory(free: float) -> Memory:
    return Memory(free * GIB, 5 * GIB, PER_ROW)


@pytest.mark.parametrize(
    ("rows", "free", "plan"),
    [
        (256, 79, MemoryPlan()),
        (512, 90, MemoryPlan(1, "activations")),
        (512, 60, MemoryPlan(1, "mlp")),
        (512, 40, MemoryPlan(3)),
        (4096, 79, MemoryPlan(11)),
        (512, 8.5, MemoryPlan(26, "activations")),
        (512, 6.2, MemoryPlan(23, "blocks")),
    ],
)
def test_the_cheapest_plan_that_fits_comes_first(rows, free, plan):
    chosen = plans_that_fit(memory(free), rows)[0]
    every = [MemoryPlan(slices, what) for slices in range(1, rows // 16 + 1) for what in PER_ROW]
    fitting = [other for other in every if memory(free).needed(other, rows) <= 0.92 * free * GIB]
    assert chosen == min(fitting, key=lambda other: (other.cost, other.slices))
    assert chosen == plan


def test_all_at_once_costs_least_and_whole_blocks_most():
    costs = [plan.cost for plan in (MemoryPlan(), MemoryPlan(1, "activations"), MemoryPlan(1, "mlp"), MemoryPlan(2))]
    assert costs == sorted(costs)
    assert MemoryPlan(1, "blocks").cost > MemoryPlan(2).cost


def test_plans_that_are_tried_next_take_ever_less_memory():
    plans = plans_that_fit(memory(79), 512)
    needed = [memory(79).needed(plan, 512) for plan in plans]
    assert len(plans) > 3
    assert all(later <= 0.9 * earlier for earlier, later in pairwise(needed))
    assert first_that_runs(plans, lambda plan: plan == plans[2]) == plans[2]


def test_what_fits_nowhere_is_told():
    plans = plans_that_fit(memory(1), 512)
    assert plans == [MemoryPlan(32, "blocks")]
    with pytest.raises(MemoryError, match="not even as 32 slices, recomputing blocks"):
        first_that_runs(plans, lambda plan: False)


def test_of_several_processes_the_one_with_the_least_room_decides():
    assert Memory.worst([memory(79), memory(40)]) == memory(40)
