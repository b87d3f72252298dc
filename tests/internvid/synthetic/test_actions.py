"""The action benchmark: its videos show what their captions state, and its splits share what they should share."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import av
import numpy as np
import pytest

from internvid.synthetic.actions import (
    ACTIONS,
    COLOURS,
    GENERAL_SENTENCES,
    SENTENCES,
    SHAPES,
    UNSEEN_PER_ACTION,
    WORDINGS,
    ActionVideos,
    Doing,
    action_videos,
    unseen_doings,
)
from internvid.synthetic.figures import PAINTS
from internvid.synthetic.pictures import pictures
from internvid.synthetic.plans import Backdrop, Figure, Shot, VideoPlan
from internvid.synthetic.render import read_truth, render


@pytest.fixture(scope="module")
def synthetic_videos() -> ActionVideos:
    return action_videos()


def doings(plans: tuple[VideoPlan, ...]) -> list[Doing]:
    return [
        Doing(figure.action, figure.shape, figure.colour)
        for plan in plans
        for shot in plan.shots
        for figure in shot.figures
    ]


def test_unseen_triples_occur_once_and_in_no_other_video_though_each_part_of_them_does(synthetic_videos):
    known, unseen = doings((*synthetic_videos.train, *synthetic_videos.held_out)), doings(synthetic_videos.unseen)

    assert not set(known) & set(unseen)
    assert sorted(unseen) == sorted(unseen_doings())
    assert Counter(doing.action for doing in unseen) == dict.fromkeys(ACTIONS, UNSEEN_PER_ACTION)
    learnt = doings(synthetic_videos.train)
    for pair in (lambda d: (d.action, d.shape), lambda d: (d.action, d.colour), lambda d: (d.shape, d.colour)):
        assert {pair(doing) for doing in unseen} <= {pair(doing) for doing in learnt}


def test_no_video_is_on_two_sides_and_no_two_videos_are_the_same(synthetic_videos):
    plans = [*synthetic_videos.train, *synthetic_videos.held_out, *synthetic_videos.unseen]

    assert len({plan.name for plan in plans}) == len(plans)
    assert len({replace(plan, name="").digest for plan in plans}) == len(plans)


def test_every_action_is_held_out_about_as_often_so_that_a_guess_is_right_once_in_twelve(synthetic_videos):
    counts = Counter(doing.action for doing in doings(synthetic_videos.held_out))

    assert set(counts) == set(ACTIONS)
    assert max(counts.values()) / sum(counts.values()) < 1.5 / len(ACTIONS)


def test_the_same_seed_gives_the_same_videos_and_another_gives_others():
    assert action_videos(train=3, held_out=2) == action_videos(train=3, held_out=2)
    assert action_videos(train=3, held_out=2) != action_videos(train=3, held_out=2, seed=1)


def test_videos_hold_clips_with_the_same_caption(synthetic_videos):
    """Same-video-aware training needs them: the same figure in the same action in two shots of a video."""
    repeated = sum(
        len(video_doings) - len(set(video_doings))
        for video_doings in (doings((plan,)) for plan in synthetic_videos.train)
    )

    assert 0.05 < repeated / len(doings(synthetic_videos.train)) < 0.5


def named(caption: str) -> set[str]:
    """The actions that the caption names."""
    return {action for action in ACTIONS for wording in WORDINGS[action] if wording in caption.lower()}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_caption_names_action_object_and_colour_in_one_of_many_wordings(action):
    rng = np.random.default_rng(0)
    captions = {Doing(action, "star", "orange").caption(rng) for _ in range(400)}

    assert len(captions) == len(SENTENCES) * len(WORDINGS[action])
    assert all(named(caption) == {action} for caption in captions)
    assert all("star" in caption and "orange" in caption for caption in captions)
    assert not any(" a orange" in caption for caption in captions)


def test_a_general_caption_names_the_action_alone():
    rng = np.random.default_rng(0)
    captions = {Doing("spinning", "star", "red").general_caption(rng) for _ in range(100)}

    assert len(captions) == len(GENERAL_SENTENCES) * len(WORDINGS["spinning"])
    assert all(named(caption) == {"spinning"} for caption in captions)
    assert not any("star" in caption or "red" in caption for caption in captions)


def test_the_truth_of_a_rendered_video_states_what_the_plan_says(synthetic_videos, tmp_path):
    plan = synthetic_videos.unseen[0]
    truth = read_truth(render(plan, tmp_path))

    stated = [Doing(thing.action, thing.shape, thing.colour) for shot in truth.shots for thing in shot.objects]
    assert stated == doings((plan,))
    with av.open(str(tmp_path / plan.file_name)) as container:
        assert sum(1 for _ in container.decode(video=0)) == truth.frame_count == len(plan.shots) * 16


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_figure_shows_its_colour_on_every_backdrop_that_it_gets(synthetic_videos, shape, colour):
    """Otherwise a model could not learn from it."""
    for plan in synthetic_videos.train:
        for number, shot in enumerate(plan.shots):
            (figure,) = shot.figures
            if (figure.shape, figure.colour, figure.action) == (shape, colour, "appearing"):
                shown = [picture.copy() for picture in pictures(plan)][number * 16 : (number + 1) * 16]
                assert painted(shown[12], colour).sum() - painted(shown[3], colour).sum() > 20, plan.name
                return


def painted(picture: np.ndarray, colour: str) -> np.ndarray:
    """[height, width, 3] uint8 to [height, width] bool: about the colour."""
    return np.abs(picture.astype(int) - PAINTS[colour]).max(axis=-1) < 40


def acted(action: str) -> tuple[np.ndarray, np.ndarray]:
    """A red square on grey that acts for two seconds: its centre, [16, 2] as (x, y) in pixels, and its area."""
    shot = Shot(16, Backdrop("flat", "grey"), (Figure("square", "red", action, at=(0.5, 0.5), size=0.3, travel=0.6),))
    shown = [painted(picture, "red") for picture in pictures(VideoPlan("acted", (shot,), width=160, height=120, fps=8))]
    area = np.array([seen.sum() for seen in shown])
    middles = [np.argwhere(seen).mean(axis=0)[::-1] if seen.any() else (np.nan, np.nan) for seen in shown]
    return np.array(middles), area


def test_swinging_goes_to_and_fro_and_is_lowest_in_the_middle():
    middles, area = acted("swinging")
    aside, height = middles[:, 0] - 80, middles[:, 1]

    assert aside.max() > 20
    assert aside.min() < -20
    assert (np.diff(np.sign(np.diff(aside))) != 0).sum() >= 3  # it turns back
    assert height[np.abs(aside).argmin()] > height[np.abs(aside).argmax()] + 3
    assert area.min() > 0.8 * area.max()


def test_circling_stays_as_far_from_the_middle_and_comes_around_clockwise():
    middles, _ = acted("circling")
    from_middle = middles - (80, 60)
    turned = np.unwrap(np.arctan2(from_middle[:, 1], from_middle[:, 0]))

    assert np.linalg.norm(from_middle, axis=1) == pytest.approx(24, abs=1.5)
    assert (np.diff(turned) > 0).all()
    assert turned[-1] - turned[0] > 2 * np.pi


def test_blinking_is_there_and_gone_again_and_appearing_is_gone_and_then_there():
    blinking, appearing = acted("blinking")[1] > 0, acted("appearing")[1] > 0

    assert (np.diff(blinking.astype(int)) != 0).sum() >= 4
    assert blinking[0]
    assert appearing.tolist() == [False] * 8 + [True] * 8
