"""What the metrics see by models of the lake, and by CLIP: under names of their own, never called FVD or FID."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from internvid.scores.clip_tower import ClipTower
from internvid.things.classifier import PictureClassifier
from internvid.viclip.frame_choice import middle_frames


class VideoTextModel(Protocol):
    """A model such as `internvid.viclip.encoder.Encoder`. Vectors are float32 and of length one."""

    @property
    def frames(self) -> int: ...

    def encode_videos(self, videos: Sequence[np.ndarray]) -> np.ndarray: ...

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray: ...


class VideoVectors:
    """Vectors of videos by a ViCLIP of ours, and their cosines with prompts."""

    def __init__(self, encoder: VideoTextModel, name: str) -> None:
        self.encoder = encoder
        self.preparation = f"{name}: {encoder.frames} frames of each, one of each equal part"

    def features(self, videos: Sequence[np.ndarray]) -> np.ndarray:
        """videos: each [frames, height, width, 3] uint8 RGB -> [n, width]."""
        return self.encoder.encode_videos([video[middle_frames(len(video), self.encoder.frames)] for video in videos])

    def similarities(self, videos: Sequence[np.ndarray], prompts: Sequence[str]) -> np.ndarray:
        """Returns [n]: the cosine of each video with its prompt."""
        return (self.features(videos) * self.encoder.encode_texts(prompts)).sum(axis=1)


class FrameSimilarities:
    """CLIPSIM: the mean over a video's frames of their cosines with the prompt, by a CLIP of `transformers`."""

    def __init__(self, tower: ClipTower) -> None:
        self.tower = tower
        self.preparation = f"{tower.hub_model.name}: its own processor's, mean over frames"

    def similarities(self, videos: Sequence[np.ndarray], prompts: Sequence[str]) -> np.ndarray:
        """Returns [n]."""
        texts = self.tower.text_vectors(prompts)
        return np.array(
            [(self.tower.picture_vectors(list(video)) @ text).mean() for video, text in zip(videos, texts, strict=True)]
        )


class ClassifierVectors:
    """Vectors of frames by the embedded classifier of things, [256]."""

    preparation = "embedded classifier: each frame squeezed to a square, and its central square"

    def __init__(self) -> None:
        """Raises FileNotFoundError where the classifier's weights are not installed."""
        self.classifier = PictureClassifier()

    def features(self, videos: Sequence[np.ndarray]) -> np.ndarray:
        """Returns [frames of all videos, 256]."""
        return np.stack([self.classifier.see([frame]).vector for video in videos for frame in video])
