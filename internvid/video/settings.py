"""What can be chosen about cutting and sampling, and how a choice is named. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

REVISION = 1  # of the code that cuts and measures: raise it when the same settings would give other clips

DEFAULT_DETECTOR = "structure+colour"
# Each detector's own threshold: one that suits them all does not exist. 27 is the paper's.
THRESHOLDS = {
    "structure+colour": 3.25,  # doublings above its surroundings: real cuts begin at 3.3, motion ends at 2.9
    "content": 27.0,
    "adaptive": 3.0,
    "hist": 0.05,
    "hash": 0.395,
    "threshold": 12.0,
}
DETECTORS = tuple(THRESHOLDS)


def default_threshold(detector: str) -> float:
    """The threshold that a detector has unless told otherwise. Raises ValueError for an unknown name."""
    if detector not in THRESHOLDS:
        raise ValueError(f"no cut detector is named {detector!r}; there are {', '.join(DETECTORS)}")
    return THRESHOLDS[detector]


@dataclass(frozen=True)
class ScanSettings:
    """Everything that decides clips and frames.

    threshold None: the detector's own default. longest_shot_seconds: a longer shot is split, None never.
    frame_short_side: pixels, pictures are never enlarged. Flags: too_short below shortest_shot_seconds, too_long above
    too_long_seconds, still from still_share of the time on, wild from wild_motion (change of luma a second) on, black
    from black_share of the frames on. Nothing is left out for its flags.
    """

    detector: str = DEFAULT_DETECTOR
    threshold: float | None = None
    shortest_shot_seconds: float = 1.0  # below: 23 % of the paper's pool, left out of its training subsets
    longest_shot_seconds: float | None = 120.0  # above: 0.84 % of the paper's pool, left out likewise
    fine_frames_per_second: float = 1.0
    frame_short_side: int = 384
    jpeg_quality: int = 90
    too_long_seconds: float = 60.0
    still_share: float = 0.95
    wild_motion: float = 2.0
    black_share: float = 0.9

    @property
    def cut_version(self) -> str:
        """What decides the clips and their flags, readable: cut1/content-27+split120s+short1s+long60s and so on."""
        level = default_threshold(self.detector) if self.threshold is None else self.threshold
        split = "whole" if self.longest_shot_seconds is None else f"split{self.longest_shot_seconds:g}s"
        return f"cut{REVISION}/{self.detector}-{level:g}+{split}{self._flags_version}"

    @property
    def span_version(self) -> str:
        """What decides the measures and flags of clips whose spans are given: spans1/short1s+long60s and so on."""
        return f"spans{REVISION}/{self._flags_version[1:]}"

    @property
    def _flags_version(self) -> str:
        return (
            f"+short{self.shortest_shot_seconds:g}s+long{self.too_long_seconds:g}s"
            f"+still{self.still_share:g}+wild{self.wild_motion:g}+black{self.black_share:g}"
        )

    @property
    def frame_version(self) -> str:
        """What decides the frames beyond the clips, readable: frames/1fps+384px+q90."""
        return f"frames/{self.fine_frames_per_second:g}fps+{self.frame_short_side}px+q{self.jpeg_quality}"
