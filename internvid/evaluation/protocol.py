"""How a benchmark is evaluated: what decides a figure beside the model and the data, by name and one by one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from internvid.viclip.frame_choice import CHOICES
from internvid.viclip.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Fit, Resampling

Constants = Literal["imagenet", "clip"]
CONSTANTS: dict[Constants, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
EncoderType = TypeVar("EncoderType")


@dataclass(frozen=True)
class Protocol:
    """choice: a name of `frame_choice.CHOICES`. fit, resampling, constants, prepares_texts: None: the model's own.

    counts_missing: videos that cannot be read count as wrong, instead of being left out.
    Raises ValueError for an unknown choice.
    """

    choice: str = "middle"
    fit: Fit | None = None
    resampling: Resampling | None = None
    constants: Constants | None = None
    prepares_texts: bool | None = None
    counts_missing: bool = False

    def __post_init__(self) -> None:
        if self.choice not in CHOICES:
            raise ValueError(f"there is no choice of frames {self.choice!r}; there are {', '.join(CHOICES)}")

    def applied_to(self, encoder: EncoderType) -> EncoderType:
        """Returns the encoder with this preparation of frames and texts; it shares the model with the given one.

        Raises ValueError where frames are to be prepared in another way than the model's own processor does.
        """
        changed: Any = copy.copy(encoder)
        frames: dict[str, Any] = {
            name: value for name, value in (("fit", self.fit), ("resampling", self.resampling)) if value is not None
        }
        if self.constants is not None:
            frames |= dict(zip(("mean", "std"), CONSTANTS[self.constants], strict=True))
        if frames:
            if not hasattr(changed, "preprocessing"):
                raise ValueError(f"this model's own processor prepares its frames, not {', '.join(frames)}")
            changed.preprocessing = replace(changed.preprocessing, **frames)
        if self.prepares_texts is not None:
            changed.prepares_texts = self.prepares_texts
        return changed

    @property
    def settings_in_words(self) -> str:
        """Returns what differs from the model's own way, apart from the choice of frames; empty where nothing does."""
        words = [str(value) for value in (self.fit, self.resampling, self.constants) if value is not None]
        if self.constants is not None:
            words[-1] = f"{self.constants} constants"
        if self.prepares_texts is not None:
            words.append("texts prepared" if self.prepares_texts else "texts as they are")
        if self.counts_missing:
            words.append("missing videos wrong")
        return ", ".join(words)

    def deviations(self) -> Iterator[tuple[str, Protocol]]:
        """Yields protocols that differ from this one in a single setting, with that setting in words."""
        other_choice = next(name for name in CHOICES if name != self.choice)
        yield f"frames: {other_choice}", replace(self, choice=other_choice)
        for fit in ("squash", "crop"):
            if fit != (self.fit or "squash"):
                yield f"frames are fitted: {fit}", replace(self, fit=fit)
        for resampling in ("bicubic", "aliased"):
            if resampling != (self.resampling or "bicubic"):
                yield f"frames are resampled: {resampling}", replace(self, resampling=resampling)
        for constants in CONSTANTS:
            if constants != self.constants:
                yield f"constants: {constants}", replace(self, constants=constants)
        prepares = self.prepares_texts is False
        yield f"texts: {'prepared' if prepares else 'as they are'}", replace(self, prepares_texts=prepares)
        missing = "left out" if self.counts_missing else "wrong"
        yield f"missing videos: {missing}", replace(self, counts_missing=not self.counts_missing)


PROTOCOLS = {
    # The published evaluation. The constants are the checkpoint's: of ViCLIP ImageNet's.
    "paper": Protocol(choice="middle", fit="squash", resampling="bicubic", prepares_texts=True),
    # The published demonstration: cv2's resizing, every n-th frame, texts as they are.
    "demo": Protocol(choice="uniform", fit="squash", resampling="aliased", prepares_texts=False),
    # CLIP's own preparation of pictures, of the same frames.
    "clip": Protocol(choice="middle", fit="crop", resampling="bicubic", constants="clip", prepares_texts=False),
    # As the model's own files say.
    "model": Protocol(),
}
