"""The text detector over pictures with and without writing."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from internvid.scores.text_overlay import TextDetector

Box = tuple[float, float, float, float]


@pytest.fixture(scope="module")
def detector() -> TextDetector:
    return TextDetector()


def background(seed: int = 0) -> Image.Image:
    """640 x 360 pixels of smooth colours."""
    colours = np.random.default_rng(seed).integers(30, 160, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((640, 360), Image.Resampling.BICUBIC)


def written(text: str, at: tuple[int, int], *, size: int = 40, seed: int = 0) -> tuple[np.ndarray, Box]:
    """The picture with the text, and the text's box."""
    picture = background(seed)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=size)
    draw.text(at, text, fill="white", font=font)
    return np.asarray(picture), draw.textbbox(at, text, font=font)


def area(box: Box) -> float:
    left, top, right, bottom = box
    return (right - left) * (bottom - top) / (640 * 360)


def test_a_picture_without_writing_has_none(detector):
    assert detector.shares([np.asarray(background(seed)) for seed in range(3)]) == [0, 0, 0]


def test_a_line_of_text_covers_its_box(detector):
    picture, box = written("how to bake bread", (60, 280))
    (share,) = detector.shares([picture])
    assert share == pytest.approx(area(box), rel=0.3)
    corners = detector.boxes(picture).reshape(-1, 2)
    assert corners.min(axis=0) == pytest.approx(box[:2], abs=12)
    assert corners.max(axis=0) == pytest.approx(box[2:], abs=12)


def test_more_text_covers_more(detector):
    small, _ = written("hello world", (60, 280), size=24)
    large, _ = written("hello world", (60, 200), size=72)
    three, _ = written("first line\n\nsecond line\n\nthird line", (60, 40))
    shares = detector.shares([small, large, three])
    assert 0 < 3 * shares[0] < shares[1] < 1
    assert len(detector.boxes(three)) == 3


def test_a_picture_that_is_none_fails_alone(detector):
    picture, _ = written("how to bake bread", (60, 280))
    broken, whole = detector.shares([np.zeros((0, 0, 3), np.uint8), picture])
    assert isinstance(broken, Exception)
    assert whole > 0
