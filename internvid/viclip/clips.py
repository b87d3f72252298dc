"""What training and evaluation read: clips with captions and frames, wherever they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Clips(Protocol):
    """Clips by position, 0 to len - 1. Pickles cheaply, and opens what it reads from in the process that reads.

    video_numbers: [clips] int64; clips of one video have the same number.
    frame_counts: [clips] int32; how many frames are kept of each clip, at least one.
    """

    @property
    def video_numbers(self) -> np.ndarray: ...

    @property
    def frame_counts(self) -> np.ndarray: ...

    def __len__(self) -> int: ...

    def clip_ids(self, positions: Sequence[int]) -> list[str]: ...

    def captions(self, positions: Sequence[int]) -> list[str]: ...

    def frames(self, picks: Sequence[tuple[int, Sequence[int]]]) -> list[np.ndarray]:
        """For each (clip, its frames by position in order of time): [frames, height, width, 3] uint8 RGB.

        Sizes may differ from clip to clip. A frame may be asked for more than once, and is then repeated.
        """


@dataclass(frozen=True)
class HeldClip:
    """clip_id, video_id: any text. frames: [frames, height, width, 3] uint8 RGB, in order of time."""

    clip_id: str
    video_id: str
    caption: str
    frames: np.ndarray


class HeldClips:
    """Clips held in memory."""

    def __init__(self, clips: Sequence[HeldClip]) -> None:
        self.held = list(clips)
        numbers = {video_id: number for number, video_id in enumerate(dict.fromkeys(c.video_id for c in self.held))}
        self.video_numbers = np.array([numbers[clip.video_id] for clip in self.held], np.int64)
        self.frame_counts = np.array([len(clip.frames) for clip in self.held], np.int32)

    def __len__(self) -> int:
        return len(self.held)

    def clip_ids(self, positions: Sequence[int]) -> list[str]:
        return [self.held[position].clip_id for position in positions]

    def captions(self, positions: Sequence[int]) -> list[str]:
        return [self.held[position].caption for position in positions]

    def frames(self, picks: Sequence[tuple[int, Sequence[int]]]) -> list[np.ndarray]:
        return [self.held[clip].frames[list(chosen)] for clip, chosen in picks]


class RememberedClips:
    """Clips of another source whose frames stay in memory once read, up to a limit: a small lake is then decoded once
    for all epochs. Pickles without what it remembers.
    """

    def __init__(self, clips: Clips, *, limit_bytes: int) -> None:
        self.clips, self.limit_bytes = clips, limit_bytes
        self._remembered: dict[int, np.ndarray] = {}
        self._bytes = 0
        self._is_full = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_remembered": {}, "_bytes": 0, "_is_full": False}

    @property
    def video_numbers(self) -> np.ndarray:
        return self.clips.video_numbers

    @property
    def frame_counts(self) -> np.ndarray:
        return self.clips.frame_counts

    def __len__(self) -> int:
        return len(self.clips)

    def clip_ids(self, positions: Sequence[int]) -> list[str]:
        return self.clips.clip_ids(positions)

    def captions(self, positions: Sequence[int]) -> list[str]:
        return self.clips.captions(positions)

    def frames(self, picks: Sequence[tuple[int, Sequence[int]]]) -> list[np.ndarray]:
        self._remember({int(clip) for clip, _ in picks})
        absent = [pick for pick in picks if int(pick[0]) not in self._remembered]
        read = iter(self.clips.frames(absent))
        return [
            self._remembered[int(clip)][list(chosen)] if int(clip) in self._remembered else next(read)
            for clip, chosen in picks
        ]

    def _remember(self, wanted: set[int]) -> None:
        """Reads all frames of the clips that are new, while there is room."""
        new = sorted(wanted - self._remembered.keys())
        if not new or self._is_full:
            return
        whole = self.clips.frames([(clip, range(int(self.frame_counts[clip]))) for clip in new])
        for clip, frames in zip(new, whole, strict=True):
            if self._bytes + frames.nbytes > self.limit_bytes:
                self._is_full = True
                return
            self._remembered[clip] = frames
            self._bytes += frames.nbytes
