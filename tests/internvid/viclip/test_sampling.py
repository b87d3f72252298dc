from dataclasses import replace

import numpy as np
import pytest

from internvid.data import rows_of_rank
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.recipe import Phase, Recipe, SameVideo
from internvid.viclip.sampling import Plan, batches_apart, crowding, phase_plans

MODEL = ViCLIPConfig(32, 16, 32, 1, 1, 32, 1, 1, 32)


def recipe(*phases: Phase, same_video: SameVideo = "negatives", seed: int = 1) -> Recipe:
    return Recipe("r", MODEL, phases, None, False, None, same_video=same_video, seed=seed)


def phase(*, epochs: float = 1, batch_size: int = 4, warmup_epochs: float = 0, min_steps: int = 0) -> Phase:
    return Phase("p", 0.0, 1e-3, epochs, warmup_epochs, batch_size, min_steps)


def plan(*phases: Phase, clips: int = 11, seed: int = 1) -> Plan:
    return Plan(recipe(*phases, seed=seed), np.arange(clips))


def test_an_epoch_holds_every_clip_once_but_for_those_that_fill_no_batch_and_each_epoch_leaves_out_others():
    batches = np.array([batch.clips for batch in plan(phase(epochs=3)).batches()]).reshape(3, 2, 4)
    unused_clips = [set(range(11)) - set(epoch.ravel()) for epoch in batches]
    assert [len(clips) for clips in unused_clips] == [3, 3, 3]  # so no clip was twice in an epoch either
    assert unused_clips[0] != unused_clips[1]
    assert batches[0].tolist() != batches[1].tolist()


def test_the_same_seed_gives_the_same_batches_and_another_seed_others():
    first, same_seed, another_seed = (
        [b.clips.tolist() for b in plan(phase(), seed=seed).batches()] for seed in (1, 1, 2)
    )
    assert first == same_seed != another_seed


def test_batches_from_any_step_on_are_those_that_an_unbroken_run_has_there():
    two_phases = plan(phase(epochs=2.5), phase(epochs=1, batch_size=3))
    expected = [(batch.step, batch.plan.number, batch.clips.tolist()) for batch in two_phases.batches()]
    assert [step for step, _, _ in expected] == list(range(two_phases.steps)) == list(range(8))
    for first in range(two_phases.steps + 1):
        batches = [(batch.step, batch.plan.number, batch.clips.tolist()) for batch in two_phases.batches(first)]
        assert batches == expected[first:]


def test_data_smaller_than_a_batch_are_one_batch_of_all_clips_in_every_step():
    small = plan(phase(epochs=3, batch_size=64), clips=5)
    assert [sorted(batch.clips) for batch in small.batches()] == [[0, 1, 2, 3, 4]] * 3
    assert small.phases[0].left_out_per_epoch == 0


def test_fewer_than_two_clips_are_refused():
    with pytest.raises(ValueError, match="1 clips are too few"):
        plan(phase(), clips=1)


@pytest.mark.parametrize(
    ("phase", "clips", "steps", "warmup_steps"),
    [
        (phase(epochs=0.5), 40, 5, 0),
        (phase(epochs=0.1, batch_size=1), 30, 3, 0),
        (phase(epochs=0.25), 11, 1, 0),
        (phase(epochs=10, warmup_epochs=0.5), 43, 100, 5),
        (phase(epochs=2, warmup_epochs=0.5, min_steps=50), 11, 50, 12),  # a quarter of the steps
        (phase(epochs=2, min_steps=3), 11, 4, 0),
    ],
)
def test_steps_of_a_phase(phase, clips, steps, warmup_steps):
    (planned,) = phase_plans([phase], clips=clips)
    assert (planned.steps, planned.warmup_steps) == (steps, warmup_steps)


def test_how_often_each_clip_is_seen_is_how_often_it_is_in_a_batch():
    two_phases = plan(phase(epochs=2.5), phase(epochs=1, batch_size=3))
    for phase_plan in two_phases.phases:
        batches = [batch.clips for batch in two_phases.batches() if batch.plan == phase_plan]
        assert two_phases.times_seen(phase_plan).tolist() == np.bincount(np.concatenate(batches), minlength=11).tolist()


def test_apart_no_batch_holds_two_clips_of_a_video_and_all_else_is_as_ever():
    rng = np.random.default_rng(0)
    videos = rng.permutation(np.repeat(np.arange(300), rng.integers(1, 11, 300)))  # 1 to 10 clips of each
    apart = Plan(recipe(phase(batch_size=64, epochs=3), same_video="apart"), videos)
    (phase_plan,) = apart.phases
    epochs = [apart.epoch(phase_plan, epoch) for epoch in range(3)]
    for batches in epochs:
        assert batches.shape == (len(videos) // 64, 64)
        assert len(np.unique(batches)) == batches.size
        assert crowding(batches, videos) == 0
        assert all(len(set(videos[batch])) == 64 for batch in batches)
    assert epochs[0].tolist() != epochs[1].tolist()
    plain = Plan(recipe(phase(batch_size=64)), videos)
    assert crowding(plain.epoch(plain.phases[0], 0), videos) > 100


def test_apart_two_videos_meet_in_a_batch_as_often_as_chance_has_it():
    videos = np.repeat(np.arange(20), 2)
    met = np.zeros((20, 20))
    for seed in range(2000):
        for batch in batches_apart(videos, 8, 5, np.random.default_rng(seed)):
            met[np.ix_(videos[batch], videos[batch])] += 1
    pairs = met[np.triu_indices(20, 1)]
    assert pairs.mean() == pytest.approx(2000 * 8 * 10 / 190)
    assert pairs.std() / pairs.mean() < 0.06  # 842 meetings a pair: 0.034 by chance alone, more as they come in twos


def test_apart_clips_of_one_video_do_not_come_in_steps_next_to_each_other():
    videos = np.repeat(np.arange(200), 2)
    batches = batches_apart(videos, 100, 4, np.random.default_rng(0))
    steps = np.empty(400, np.int64)
    steps[batches] = np.arange(100)[:, None]
    between = np.abs(np.diff(steps.reshape(200, 2), axis=1))
    assert (between == 1).sum() < 15  # 4 by chance
    assert between.mean() == pytest.approx(33, abs=5)


def test_a_video_too_large_to_be_kept_apart_is_spread_evenly_and_left_out_first():
    videos = np.array([0] * 12 + list(range(1, 12)))  # 23 clips, 5 batches of 4: 3 are left out
    batches = batches_apart(videos, 5, 4, np.random.default_rng(0))
    large_video_counts = (videos[batches] == 0).sum(axis=1)
    assert large_video_counts.sum() == 9
    assert large_video_counts.max() == 2
    assert crowding(batches, videos) == 4
    assert set(np.arange(12, 23)) <= set(batches.ravel())


@pytest.mark.parametrize(("batch_size", "ranks"), [(8, 1), (8, 2), (7, 2), (5, 5), (32_768, 63)])
def test_ranks_divide_a_batch_evenly_and_leave_out_no_row(batch_size, ranks):
    spans = [rows_of_rank(batch_size, rank, ranks) for rank in range(ranks)]
    assert [row for first, end in spans for row in range(first, end)] == list(range(batch_size))
    sizes = [end - first for first, end in spans]
    assert max(sizes) - min(sizes) <= 1


def test_a_million_clips_kept_apart_are_planned_without_a_python_object_for_each():
    videos = np.repeat(np.arange(250_000), 4)
    apart = Plan(replace(recipe(phase(batch_size=32_768)), same_video="apart"), videos)
    assert crowding(apart.epoch(apart.phases[0], 0), videos) == 0
