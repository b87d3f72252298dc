import numpy as np
import pytest

from internvid.viclip.frame_choice import CHOICES, middle_frames, random_frames, uniform_frames


@pytest.mark.parametrize(
    ("count", "middles", "uniform"),
    [
        (100, [5, 18, 30, 43, 55, 68, 80, 93], [0, 12, 24, 36, 48, 60, 72, 84]),
        (17, [0, 2, 4, 6, 8, 10, 12, 15], [0, 2, 4, 6, 8, 10, 12, 14]),
        (8, [0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 5, 6, 7]),
        (5, [0, 1, 2, 3, 4, 4, 4, 4], [0, 1, 2, 3, 4, 4, 4, 4]),
        (1, [0] * 8, [0] * 8),
    ],
)
def test_eight_frames_are_chosen_as_the_published_code_chooses_them(count, middles, uniform):
    assert middle_frames(count, 8) == middles
    assert uniform_frames(count, 8) == uniform


def test_any_number_of_frames_is_chosen_in_order_and_from_the_clip():
    for frame_count in range(1, 40):
        for frames in range(1, 14):
            for choose in CHOICES.values():
                positions = choose(frame_count, frames)
                assert len(positions) == frames
                assert positions == sorted(positions)
                assert positions[0] >= 0
                assert positions[-1] < frame_count


def test_random_frames_are_one_of_each_segment_and_reach_every_frame():
    rng = np.random.default_rng(0)
    drawn = np.array([random_frames(20, 4, rng) for _ in range(400)])
    assert (drawn // 5 == [0, 1, 2, 3]).all()
    assert set(drawn.ravel()) == set(range(20))
    assert random_frames(3, 5, rng) == [0, 1, 2, 2, 2]
    repeated = [random_frames(100, 8, np.random.default_rng(7)) for _ in range(2)]
    assert repeated[0] == repeated[1]


def test_a_clip_without_frames_is_an_error():
    for choose in (middle_frames, uniform_frames, lambda frame_count, frames: random_frames(frame_count, frames, None)):
        with pytest.raises(ValueError, match="8 frames of a clip that has 0"):
            choose(0, 8)
        with pytest.raises(ValueError, match="0 frames"):
            choose(8, 0)
