"""The measured aesthetics: each part rises and falls as people would expect."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from internvid.scores.measured import Parts, measure, scores


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A sharp, colourful, well exposed picture: [480, 640, 3]."""
    rng = np.random.default_rng(0)
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[:] = np.linspace(60, 200, 640, dtype=np.uint8)[None, :, None]
    for _ in range(60):
        x, y, radius = (int(number) for number in rng.integers((0, 0, 15), (640, 480, 60)))
        cv2.circle(picture, (x, y), radius, [int(level) for level in rng.integers(20, 235, 3)], -1)
    return picture


def blurred(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), 6)


def grey(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def flat(level: int) -> np.ndarray:
    return np.full((480, 640, 3), level, np.uint8)


def faded(picture: np.ndarray) -> np.ndarray:
    """The same with a third of the contrast."""
    return (picture / 3 + 85).astype(np.uint8)


def test_a_sharp_picture_is_above_the_same_blurred_and_mostly_by_its_sharpness(scene):
    sharp, soft = measure(scene), measure(blurred(scene))
    assert sharp.score > soft.score + 0.5
    assert sharp.sharpness > soft.sharpness + 0.25
    assert sharp.exposure == pytest.approx(soft.exposure, abs=0.02)


def test_a_well_exposed_picture_is_above_one_too_dark_or_too_bright(scene):
    dark, bright = (scene * 0.2).astype(np.uint8), (scene * 0.2 + 204).astype(np.uint8)
    assert measure(scene).exposure > max(measure(dark).exposure, measure(bright).exposure) + 0.3
    assert measure(scene).score > max(scores([dark, bright]))


def test_a_colourful_picture_is_above_the_same_in_grey_and_only_colour_differs(scene):
    coloured, without = measure(scene), measure(grey(scene))
    assert without == Parts(without.sharpness, without.exposure, without.contrast, colourfulness=0.0)
    assert coloured.colourfulness > 0.4
    assert (coloured.sharpness, coloured.exposure, coloured.contrast) == pytest.approx(
        (without.sharpness, without.exposure, without.contrast), abs=0.01
    )


def test_a_faded_picture_has_a_third_of_the_contrast(scene):
    assert measure(faded(scene)).contrast == pytest.approx(measure(scene).contrast / 3, rel=0.2)


def test_black_and_white_are_the_worst_and_no_picture_leaves_the_scale(scene):
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    black, white, middle, *textured = scores([flat(0), flat(255), flat(128), scene, noise, blurred(scene)])
    assert (black, white) == (1, 1)
    assert all(1 < score <= 10 for score in (middle, *textured))
    assert min(textured) > middle


def test_the_size_of_a_picture_changes_little(scene):
    large = cv2.resize(scene, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    assert measure(large).score == pytest.approx(measure(scene).score, abs=0.3)


def test_hasler_and_suesstrunks_formula():
    """Half red, half blue: red-green is 255 and 0, yellow-blue 127.5 and -255."""
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[:50, :, 0], picture[50:, :, 2] = 255, 255
    spread = np.hypot(127.5, 191.25)
    assert measure(picture).colourfulness == 1  # 230 + 0.3 * 143 is beyond the scale
    dull = (picture // 10).astype(np.uint8)
    mean = np.hypot(127.5, 63.75)
    expected = (spread + 0.3 * mean) * 25 / 255 / 109
    assert measure(dull).colourfulness == pytest.approx(expected, rel=1e-4)
