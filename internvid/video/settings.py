"""Settings of cutting and sampling, and the version strings that name them. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field

# Versions of the code: raise one when the same settings would give other clips between cuts, or clips of given spans
# and frames of given clips.
CUT_REVISION = 4
REVISION = 3

# Each detector's default threshold: no value suits them all. 27 is the paper's.
THRESHOLDS = {
    "combined": 3.25,  # of the changes that structure+colour counts as cuts
    "structure+colour": 3.25,  # doublings above its surroundings: real cuts begin at 3.3, motion ends at 2.9
    "transnetv2": 0.5,  # its authors'
    "content": 27.0,
    "adaptive": 3.0,
    "hist": 0.05,
    "hash": 0.395,
    "threshold": 12.0,
}
DETECTORS = tuple(THRESHOLDS)


def default_threshold(detector: str) -> float:
    """A detector's default threshold. Raises ValueError for an unknown name."""
    if detector not in THRESHOLDS:
        raise ValueError(f"no cut detector is named {detector!r}; there are {', '.join(DETECTORS)}")
    return THRESHOLDS[detector]


def default_detector() -> str:
    """`combined` where the network's weights are installed, `structure+colour` elsewhere."""
    from internvid.video.cut_network import weights_file

    return "structure+colour" if weights_file() is None else "combined"


@dataclass(frozen=True)
class ScanSettings:
    """Settings that decide clips and frames.

    threshold: of the detector, None for its default. max_shot_seconds: a longer shot is split, None splits no shot.
    frame_short_side: pixels of a JPEG's short side; pictures are never enlarged. The other settings decide flags:
    too_short is a clip below min_shot_seconds, too_long one above too_long_seconds, still one without visible change in
    at least still_share of its time, wild one with at least wild_motion (change of luma per second), and black one with
    at least black_share of black frames. Flagged clips are kept. Two further flags have no setting: interlaced, and
    short_of_header for clips of a video that ends before its header says.
    """

    detector: str = field(default_factory=default_detector)
    threshold: float | None = None
    min_shot_seconds: float = 1.0  # 23 % of the paper's pool are shorter and left out of its training subsets
    max_shot_seconds: float | None = 120.0  # 0.84 % of the paper's pool are longer and left out likewise
    fine_frames_per_second: float = 1.0
    frame_short_side: int = 384
    jpeg_quality: int = 90
    too_long_seconds: float = 60.0
    still_share: float = 0.95
    wild_motion: float = 2.0
    black_share: float = 0.9

    @property
    def cut_version(self) -> str:
        """Names what decides the clips and their flags: cut2/content-27+split120s+short1s+long60s and so on."""
        level = default_threshold(self.detector) if self.threshold is None else self.threshold
        split = "whole" if self.max_shot_seconds is None else f"split{self.max_shot_seconds:g}s"
        return f"cut{CUT_REVISION}/{self.detector}-{level:g}+{split}{self._flags_version}"

    @property
    def span_version(self) -> str:
        """Names what decides measures and flags of clips with given spans: spans2/short1s+long60s and so on."""
        return f"spans{REVISION}/{self._flags_version[1:]}"

    @property
    def _flags_version(self) -> str:
        return (
            f"+short{self.min_shot_seconds:g}s+long{self.too_long_seconds:g}s"
            f"+still{self.still_share:g}+wild{self.wild_motion:g}+black{self.black_share:g}"
        )

    @property
    def frame_version(self) -> str:
        """Names what, besides the clips, decides the frames: frames2/1fps+384px+q90."""
        return f"frames{REVISION}/{self.fine_frames_per_second:g}fps+{self.frame_short_side}px+q{self.jpeg_quality}"
