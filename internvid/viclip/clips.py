"""Clips with captions and frames, as training and evaluation read them, independent of where they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class StoredFrames(Protocol):
    """Frames of clips by the clips' position, which encoding needs.

    frame_counts: [clips] int32; number of stored frames of each clip, at least one.
    """

    @property
    def frame_counts(self) -> np.ndarray: ...

    def frames(self, picks: Sequence[tuple[int, Sequence[int]]]) -> list[np.ndarray]:
        """Returns [frames, height, width, 3] uint8 RGB for each pick.

        picks: (position of the clip, positions of its frames, in order of time). A frame position may occur more than
        once; the frame is then repeated. Sizes may differ from clip to clip. May be called by several threads at once.
        """


class Clips(StoredFrames, Protocol):
    """Clips by position, 0 to len - 1. Pickling is cheap; storage is opened lazily, in the process that reads.

    video_numbers: [clips] int64; clips of one video have the same number.
    """

    @property
    def video_numbers(self) -> np.ndarray: ...

    def __len__(self) -> int: ...

    def clip_ids(self, positions: Sequence[int]) -> list[str]: ...

    def captions(self, positions: Sequence[int]) -> list[str]: ...


@dataclass(frozen=True)
class InMemoryClip:
    """A clip with its frames. frames: [frames, height, width, 3] uint8 RGB, in order of time."""

    clip_id: str
    video_id: str
    caption: str
    frames: np.ndarray


class InMemoryClips:
    """Clips whose frames are all in memory."""

    def __init__(self, clips: Sequence[InMemoryClip]) -> None:
        self.clips = list(clips)
        numbers = {video_id: number for number, video_id in enumerate(dict.fromkeys(c.video_id for c in self.clips))}
        self.video_numbers = np.array([numbers[clip.video_id] for clip in self.clips], np.int64)
        self.frame_counts = np.array([len(clip.frames) for clip in self.clips], np.int32)

    def __len__(self) -> int:
        return len(self.clips)

    def clip_ids(self, positions: Sequence[int]) -> list[str]:
        return [self.clips[position].clip_id for position in positions]

    def captions(self, positions: Sequence[int]) -> list[str]:
        return [self.clips[position].caption for position in positions]

    def frames(self, picks: Sequence[tuple[int, Sequence[int]]]) -> list[np.ndarray]:
        return [self.clips[clip].frames[list(frame_positions)] for clip, frame_positions in picks]


class CachedClips:
    """Caches in memory the frames that another source of clips returns: a small lake is decoded once for all epochs.

    limit_bytes: upper bound on the size of the cache. The cache itself is not pickled.
    """

    def __init__(self, clips: Clips, *, limit_bytes: int) -> None:
        self.clips, self.limit_bytes = clips, limit_bytes
        self._frames_by_clip: dict[int, np.ndarray] = {}
        self._bytes = 0
        self._is_full = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_frames_by_clip": {}, "_bytes": 0, "_is_full": False}

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
        self._read_into_cache({int(clip) for clip, _ in picks})
        uncached = [pick for pick in picks if int(pick[0]) not in self._frames_by_clip]
        uncached_frames = iter(self.clips.frames(uncached))
        return [
            self._frames_by_clip[int(clip)][list(chosen_frames)]
            if int(clip) in self._frames_by_clip
            else next(uncached_frames)
            for clip, chosen_frames in picks
        ]

    def _read_into_cache(self, requested: set[int]) -> None:
        """Reads all frames of the requested clips that are not cached yet, while the limit allows."""
        missing = sorted(requested - self._frames_by_clip.keys())
        if not missing or self._is_full:
            return
        frames_of_clips = self.clips.frames([(clip, range(int(self.frame_counts[clip]))) for clip in missing])
        for clip, frames in zip(missing, frames_of_clips, strict=True):
            if self._bytes + frames.nbytes > self.limit_bytes:
                self._is_full = True
                return
            self._frames_by_clip[clip] = frames
            self._bytes += frames.nbytes
