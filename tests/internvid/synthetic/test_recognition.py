"""The benchmark of one motion, and the judge of generated videos: on drawn ones it is right."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest

from internvid.synthetic.actions import COLOURS, SHAPES
from internvid.synthetic.motions import DIRECTIONS, MOTIONS, Motion, motion_of, motion_videos
from internvid.synthetic.pictures import pictures
from internvid.synthetic.recognition import recognised


@pytest.fixture(scope="module")
def videos() -> dict[Motion, np.ndarray]:
    """A drawn video of 32 pixels of each triple."""
    planned = motion_videos(train=400)
    plans = {motion_of(plan): plan for plan in (*planned.train, *planned.held_out_videos)}
    return {
        motion: np.stack([cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA) for picture in pictures(plan)])
        for motion, plan in plans.items()
    }


def test_what_is_held_out_is_never_shown_and_each_pair_of_its_words_is():
    planned = motion_videos(train=400)
    shown = {motion_of(plan) for plan in planned.train}
    assert shown == set(MOTIONS) - set(planned.held_out)
    assert len(planned.held_out) == 16
    for values in ([motion.colour for motion in planned.held_out], [motion.shape for motion in planned.held_out]):
        assert set(Counter(values).values()) == {4}
    pairs = {(motion.shape, motion.direction) for motion in shown}
    assert len(pairs) == len(SHAPES) * len(DIRECTIONS)
    assert planned == motion_videos(train=400)


def test_the_judge_is_right_about_every_drawn_video(videos):
    assert set(videos) == set(MOTIONS)
    assert {motion: recognised(video) for motion, video in videos.items()} == {motion: motion for motion in videos}


def test_the_judge_reads_the_way_off_the_order_of_the_frames(videos):
    opposite = {"left": "right", "right": "left", "up": "down", "down": "up"}
    for motion, video in videos.items():
        assert recognised(video[::-1]) == Motion(motion.colour, motion.shape, opposite[motion.direction])


def test_the_judge_sees_nothing_where_nothing_is_shown(videos):
    noise = np.random.default_rng(0).normal(128, 12, (16, 32, 32, 3)).clip(0, 255).astype(np.uint8)
    assert recognised(noise) == Motion("", "", "")
    still = np.repeat(videos[Motion(COLOURS[0], SHAPES[0], "right")][8:9], 16, axis=0)
    assert recognised(still) == Motion(COLOURS[0], SHAPES[0], "")
