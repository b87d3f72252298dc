"""Detects the cuts of a video. A detector is fed one small frame at a time, and looks ahead by a bounded number.

The default, `structure+colour`, is our own; PySceneDetect's can be chosen too. benchmarks/detectors.py measures them
all. Does not belong here: reading the video (`scan`), making small pictures from it (`pictures`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from scenedetect import AdaptiveDetector, ContentDetector, FrameTimecode, HashDetector, HistogramDetector
from scenedetect import ThresholdDetector as FadeDetector
from scenedetect.detector import SceneDetector

from internvid.video.measures import is_black
from internvid.video.pictures import LUMA_HEIGHT, LUMA_WIDTH, SmallPicture
from internvid.video.settings import default_threshold


@dataclass(frozen=True, slots=True)
class Boundary:
    """The change from one shot to the next.

    frame_index: the first frame of the new shot; of a gradual change its middle, or the first frame after black. kind:
    cut, fade or dissolve. score: the detector's score, 0 where it has none. transition: of a gradual change the frames
    [first, end) that show neither shot alone.
    """

    frame_index: int
    kind: str
    score: float
    transition: tuple[int, int] | None = None

    @property
    def start(self) -> int:
        """The first frame that is no longer the shot before."""
        return self.frame_index if self.transition is None else self.transition[0]

    @property
    def end(self) -> int:
        """The first frame of the new shot alone."""
        return self.frame_index if self.transition is None else self.transition[1]


class CutDetector(Protocol):
    """Detects boundaries. It is fed every frame in order, and reports boundaries a bounded number of frames later.

    A boundary that starts at frame i is reported before frame i + look_ahead has been pushed. A hard cut is reported
    before frame i + cut_look_ahead, or i is among `doubtful` by then: frames of which the detector is not yet sure.
    wants_colour: whether `push` needs the BGR picture beside the small one.
    """

    look_ahead: int
    cut_look_ahead: int
    wants_colour: bool

    @property
    def doubtful(self) -> Sequence[int]: ...

    def push(
        self, frame_index: int, seconds: float, picture: SmallPicture, colour: np.ndarray | None
    ) -> list[Boundary]: ...

    def finish(self) -> list[Boundary]: ...


# --- our own -----------------------------------------------------------------------------------------------------

# Every constant below sits on a plateau: F1 on four thousand frames of rendered hard cuts, and on splices, flashes,
# repeated frames and low rates made from twenty-four real videos, stays within 0.01 when it moves by a fifth.

# Changes up to these count as none, so that ratios to them are meaningful: luma and chroma levels of 255, share of
# structure.
_QUIET = (1.0, 1.0, 0.05)
# Frames on either side among which a weak change must stand alone. Six outlasts a gesture in a 30 fps copy of a
# 10 fps original, where movement comes in single jumps.
_ALONE = 6
# Doublings that must come from structure: a lamp switched on changes luma and hue, and nothing else.
_STRUCTURE_DOUBLINGS = 0.8
# Share of the picture's structure that no shifted, brighter or darker part of the other picture explains. Cuts between
# places have 0.45-0.85, movement below 0.32.
UNLIKE = 0.4
# A flash lasts up to four frames and lifts the mean luma by more than 15 of 255.
_FLASH_FRAMES = 4
_FLASH_LUMA = 15.0

_STRUCTURE_FLOOR = 1.25 * LUMA_WIDTH * LUMA_HEIGHT  # energy of codec noise: about one level of deviation per pixel
_SEARCH, _BLOCK_HEIGHT, _BLOCK_WIDTH = 8, 9, 8  # of 64x36: an eighth of the width each way
_BLOCK_VARIANCE = 9.0  # flatter blocks match anywhere
_MIN_STRUCTURE = 12.0  # an eighth of the blocks at that variance: in an empty sky, noise must not pass for structure


class _SeenFrame(NamedTuple):
    """A frame, and its change against the frame before: doublings above _QUIET of luma, chroma and structure."""

    frame_index: int
    luma: np.ndarray
    mean_luma: float
    change: tuple[float, float, float]


class Candidate(NamedTuple):
    """A change from one frame to the next that may be a cut.

    frame_index: of the second frame. score: doublings above its surroundings. unlike: see `unlikeness`. is_cut: whether
    the detector counts it as a cut.
    """

    frame_index: int
    score: float
    unlike: float
    is_cut: bool


class StructureColourCuts:
    """Detects hard cuts by how far a change of luma, colour and structure stands out from the changes around it.

    A change that stands alone among its neighbours is a cut, even a small change (a jump cut, a slide). A change that
    does not stand alone (a montage of two-frame shots, a shaking camera) is a cut if the picture before cannot explain
    the new one by movement or by light, and the old picture does not come back after a flash. GradualCuts detects
    gradual transitions.
    """

    wants_colour = False
    doubtful: Sequence[int] = ()

    def __init__(self, threshold: float, fps: float) -> None:
        self._threshold = threshold
        self._gradual = GradualCuts(fps)
        self.cut_look_ahead = _ALONE + 1
        self.look_ahead = max(self.cut_look_ahead, self._gradual.look_ahead)
        self._seen: deque[_SeenFrame] = deque(maxlen=2 * _ALONE + 1)
        self._last: tuple[SmallPicture, np.ndarray, float] | None = None

    def push(
        self, frame_index: int, seconds: float, picture: SmallPicture, colour: np.ndarray | None
    ) -> list[Boundary]:
        structure = structure_of(picture.luma)
        energy = float(cv2.norm(structure, cv2.NORM_L2SQR))
        change = (0.0, 0.0, 0.0)
        if self._last is not None:
            change = change_between(*self._last, picture, structure, energy)
        self._last = (picture, structure, energy)
        self._seen.append(_SeenFrame(frame_index, picture.luma, picture.mean_luma, change))
        at = len(self._seen) - 1 - _ALONE
        cuts = self._cut_at(at) if at > 0 else []
        for cut in cuts:
            self.begin_shot(cut.frame_index)
        return cuts + self._gradual.push(frame_index, seconds, picture, structure)

    def begin_shot(self, frame_index: int) -> None:
        """Takes note of a hard cut: no transition reaches over it."""
        self._gradual.begin_shot(frame_index)

    @property
    def structure(self) -> np.ndarray:
        """The structure of the newest frame."""
        assert self._last is not None
        return self._last[1]

    @property
    def is_dark(self) -> bool:
        """Whether a fade may be going on."""
        return self._gradual.is_dark

    def finish(self) -> list[Boundary]:
        cuts = []
        for at in range(max(1, len(self._seen) - _ALONE), len(self._seen)):
            cuts += self._cut_at(at)
        return cuts

    def _cut_at(self, at: int) -> list[Boundary]:
        """Returns the cut before the frame at position `at` of the window: a list of no or one boundary."""
        candidate = self._candidate(at)
        if candidate is None or not candidate.is_cut:
            return []
        return [Boundary(candidate.frame_index, "cut", candidate.score)]

    def _candidate(self, at: int) -> Candidate | None:
        """Judges the change before the frame at position `at` of the window; None for one below the threshold."""
        seen = self._seen
        here = seen[at].change
        if sum(here) < self._threshold:
            return None
        # Doublings above the quieter of the two neighbours on each side: a shot of two frames has one quiet neighbour.
        above = 0.0
        for kind in (0, 1, 2):
            left = min((seen[i].change[kind] for i in (at - 1, at - 2) if i > 0), default=0.0)
            right = min((seen[i].change[kind] for i in (at + 1, at + 2) if i < len(seen)), default=0.0)
            above += here[kind] - max(left, right)
        if above < self._threshold:
            return None
        first = max(0 if seen[0].frame_index else 1, at - _ALONE)
        around = [seen[i].change for i in range(first, min(len(seen), at + _ALONE + 1)) if i != at]
        alone = [here[kind] - max((change[kind] for change in around), default=0.0) for kind in (0, 1, 2)]
        stands_alone = sum(alone) >= self._threshold and alone[2] >= _STRUCTURE_DOUBLINGS
        unlike = unlikeness(seen[at - 1].luma, seen[at].luma)
        is_cut = stands_alone or (unlike >= UNLIKE and not self._is_flash(at))
        return Candidate(seen[at].frame_index, above, unlike, is_cut)

    def _is_flash(self, at: int) -> bool:
        """Whether a picture from before returns within _FLASH_FRAMES, once something brighter has passed."""
        seen = self._seen
        for before in range(max(0, at - _FLASH_FRAMES - 1), at):
            for after in range(max(at, before + 2), min(len(seen), at + _FLASH_FRAMES + 1, before + _FLASH_FRAMES + 2)):
                brightest = max(seen[i].mean_luma for i in range(before + 1, after))
                if brightest <= max(seen[before].mean_luma, seen[after].mean_luma) + _FLASH_LUMA:
                    continue
                if unlikeness(seen[before].luma, seen[after].luma) < UNLIKE:
                    return True
        return False


def structure_of(luma: np.ndarray) -> np.ndarray:
    """The difference of each pixel from the mean of the 9x9 pixels around it: [36, 64] float32, whatever the light."""
    levels = luma.astype(np.float32)
    return levels - cv2.blur(levels, (9, 9))


def change_between(
    before: SmallPicture,
    structure_before: np.ndarray,
    energy_before: float,
    picture: SmallPicture,
    structure: np.ndarray,
    energy: float,
) -> tuple[float, float, float]:
    """The change from one picture to another: doublings above _QUIET of luma, chroma and structure.

    structure: see `structure_of`. energy: the sum of its squares.
    """
    luma = cv2.norm(picture.luma, before.luma, cv2.NORM_L1) / picture.luma.size
    chroma = cv2.norm(picture.chroma, before.chroma, cv2.NORM_L1) / (picture.chroma.size / 2)
    together = float(np.vdot(structure, structure_before)) + _STRUCTURE_FLOOR
    alike = together / math.sqrt((energy + _STRUCTURE_FLOOR) * (energy_before + _STRUCTURE_FLOOR))
    return (
        math.log2(1 + luma / _QUIET[0]),
        math.log2(1 + chroma / _QUIET[1]),
        math.log2(1 + max(0.0, 1 - alike) / _QUIET[2]),
    )


def unlikeness(before: np.ndarray, after: np.ndarray) -> float:
    """The share of a picture's structure that another picture cannot explain by movement, gain or offset: 0 to 1.

    before, after: [36, 64] uint8 luma. Each 9x8 block of a picture is searched within 8 pixels around its place in the
    other picture by normalised correlation (0.4 ms a direction). The better explained direction counts, because
    movement uncovers what was hidden. 0 where both are flat.
    """
    return min(_unexplained(before, after), _unexplained(after, before))


def is_unlike(before: np.ndarray, after: np.ndarray, level: float) -> bool:
    """Whether `unlikeness` is at least `level`: in half the time where it is not."""
    return _unexplained(before, after) >= level and _unexplained(after, before) >= level


def _unexplained(source: np.ndarray, target: np.ndarray) -> float:
    wide = cv2.copyMakeBorder(source, _SEARCH, _SEARCH, _SEARCH, _SEARCH, cv2.BORDER_REPLICATE).astype(np.float32)
    blocks = target.astype(np.float32)
    missing = total = 0.0
    for y in range(0, LUMA_HEIGHT, _BLOCK_HEIGHT):
        for x in range(0, LUMA_WIDTH, _BLOCK_WIDTH):
            block = blocks[y : y + _BLOCK_HEIGHT, x : x + _BLOCK_WIDTH]
            variance = float(block.var())
            if variance < _BLOCK_VARIANCE:
                continue
            around = wide[y : y + _BLOCK_HEIGHT + 2 * _SEARCH, x : x + _BLOCK_WIDTH + 2 * _SEARCH]
            best = max(0.0, float(cv2.matchTemplate(around, block, cv2.TM_CCOEFF_NORMED).max()))
            weight = math.sqrt(variance)
            missing += weight * (1 - best * best)
            total += weight
    return missing / max(total, _MIN_STRUCTURE)


# Gradual transitions are looked for in samples this far apart: a dissolve shorter than half a second is rare.
_SAMPLE_SECONDS = 0.08
_DISSOLVE_SAMPLES = (8, 16, 24)  # 0.64, 1.3 and 1.9 s from a picture before to one after
_DISSOLVE_EXPLAINED = 0.85  # of a frame's structure, by a mixture of the two: chance and movement stay below 0.8
_DISSOLVE_UNLIKE = 0.3  # maximum correlation of the two pictures
_DISSOLVE_ENERGY = 9.0  # per pixel: both have structure
_APART_SECONDS = 1.0  # between the middles of two dissolves: the same one shows in windows of several lengths
_LIT_LUMA = 64  # a picture has some place this bright; a fade passes from black (measures.is_black) to it
_FADE_SECONDS = 0.9
_FADE_STEP = 0.7  # levels of mean luma by which a frame of a fade differs from the one before
_BLACK_LUMA = 24.0  # mean luma of a frame in a fade's black, at most
_FADE_FRAMES = 128  # of which the brightness is kept: two seconds at 60 fps


def samples_every(fps: float) -> int:
    """Frames from one sample to the next."""
    return max(1, math.ceil(_SAMPLE_SECONDS * fps - 0.01))


class GradualCuts:
    """Detects dissolves and fades through black, with their first and last frames.

    Dissolve: frames halfway between two unlike pictures are a mixture of both, in shares that pass from one to the
    other; the boundary is where the second outweighs the first. Fade: black frames between two unlike pictures,
    reached by degrees; the boundary is the first frame after the black. A transition that began earlier than
    `look_ahead` is reported without its beginning: the shot before then ends in the black.
    """

    def __init__(self, fps: float) -> None:
        frames_per_sample = samples_every(fps)
        # The longest window of a dissolve. A fade waits _FADE_SECONDS for the light, which is less.
        self.look_ahead = (_DISSOLVE_SAMPLES[-1] + 4) * frames_per_sample + 2
        self._samples: deque[tuple[int, float, np.ndarray, bool]] = deque(maxlen=_DISSOLVE_SAMPLES[-1] + 1)
        self._dissolved = -_APART_SECONDS  # seconds at the middle of the last dissolve
        self._lit: np.ndarray | None = None  # the last bright picture
        self._is_dark = False  # a black frame came after it
        self._risen: tuple[int, float] | None = None  # first frame after the black
        self._shot_start = 0
        self._brightness: deque[tuple[int, float]] = deque(maxlen=_FADE_FRAMES)  # frame index, mean luma

    def push(self, frame_index: int, seconds: float, picture: SmallPicture, structure: np.ndarray) -> list[Boundary]:
        self._brightness.append((frame_index, picture.mean_luma))
        fades = self._fade(frame_index, seconds, picture)
        # A hundredth of a second of tolerance: 1/25 s in milliseconds is 40 or 41.
        if self._samples and seconds - self._samples[-1][1] < _SAMPLE_SECONDS - 0.01:
            return fades
        dark = picture.mean_luma < _LIT_LUMA and int(np.count_nonzero(picture.luma < 32)) > 0.9 * picture.luma.size
        self._samples.append((frame_index, seconds, structure, dark))
        return fades + self._dissolve()

    def begin_shot(self, frame_index: int) -> None:
        """Takes note of a hard cut, which is known some frames late: no transition reaches over it."""
        self._shot_start = frame_index

    @property
    def is_dark(self) -> bool:
        """Whether a fade may be going on: the picture is black or comes out of black."""
        return self._is_dark

    def _dissolve(self) -> list[Boundary]:
        samples = self._samples
        _, _, last, dark = samples[-1]
        if dark:
            return []
        energy = float(np.vdot(last, last))
        floor = _DISSOLVE_ENERGY * last.size
        for span in _DISSOLVE_SAMPLES:
            if len(samples) <= span or energy < floor:
                break
            _, _, first, dark = samples[-1 - span]
            energy_first = float(np.vdot(first, first))
            if dark or energy_first < floor:
                continue
            together = float(np.vdot(first, last))
            if together > _DISSOLVE_UNLIKE * math.sqrt(energy * energy_first):
                continue
            middle = samples[-1 - span // 2]
            if middle[1] <= self._dissolved + _APART_SECONDS:
                continue
            mixtures = [
                mixture(first, last, samples[-1 - at][2], energy_first, energy, together)
                for at in (span - span // 4, span // 2, span // 4)
            ]
            (early, _, _), (first_share, last_share, explained), (late, _, _) = mixtures
            rises = early > first_share > late and mixtures[0][1] < last_share < mixtures[2][1]
            is_mixed = last_share >= first_share and first_share > 0.2 and last_share < 0.8
            if rises and is_mixed and explained > _DISSOLVE_EXPLAINED:
                self._dissolved = middle[1]
                shares = [
                    mixture(first, last, samples[-1 - at][2], energy_first, energy, together)[1]
                    for at in range(span, -1, -1)
                ]
                frames = [samples[-1 - at][0] for at in range(span, -1, -1)]
                return [Boundary(middle[0], "dissolve", explained, _mixed_frames(shares, frames))]
        return []

    def _fade(self, frame_index: int, seconds: float, picture: SmallPicture) -> list[Boundary]:
        luma = picture.luma
        if is_black(picture):
            self._is_dark, self._risen = self._lit is not None, None
            return []
        if self._is_dark and self._risen is None:
            self._risen = (frame_index, seconds)
        twentieth = -luma.size // 20
        lit = picture.mean_luma >= _LIT_LUMA or float(np.partition(luma.ravel(), twentieth)[twentieth]) >= _LIT_LUMA
        if self._risen is None:
            if lit:
                self._lit = luma
            return []
        first, since = self._risen
        if lit and frame_index == first:
            # Bright at once: a hard cut out of black, which StructureColourCuts detects.
            self._lit, self._is_dark, self._risen = luma, False, None
            return []
        is_rising = self._brightness[-1][1] > self._brightness[-2][1] + _FADE_STEP
        if (is_rising or not lit) and seconds - since < _FADE_SECONDS:
            return []
        before, self._lit = self._lit, luma
        self._is_dark, self._risen = False, None
        if before is None or unlikeness(before, luma) < UNLIKE:
            return []
        return [Boundary(first, "fade", 0.0, (self._darkens_from(first, frame_index), frame_index))]

    def _darkens_from(self, risen: int, now: int) -> int:
        """The first frame of the way down to the black that ends before the frame `risen`; `risen` if there is none."""
        start = risen
        earliest = max(self._shot_start, now - self.look_ahead) + 1
        levels = [level for level in self._brightness if earliest <= level[0] < risen]
        for (frame, before), (following, after) in zip(levels[-2::-1], levels[:0:-1], strict=True):
            if before > after + _FADE_STEP:
                start = following
            elif after <= _BLACK_LUMA:
                start = frame
            else:
                return start
        # All black, since a hard cut or for long: the way down, if there is one, was too long ago.
        return start if levels and levels[0][1] > _BLACK_LUMA else risen


def _mixed_frames(shares: list[float], frames: list[int]) -> tuple[int, int]:
    """The frames [first, end) of a dissolve. shares: of the second shot in the samples, whose frames are `frames`.

    The share grows evenly; a line through the samples that are clearly mixed says where it leaves 0 and reaches 1.
    """
    mixed = [at for at, share in enumerate(shares) if 0.15 < share < 0.85]
    at_middle, share_at_middle = float(np.mean(mixed)), float(np.mean([shares[at] for at in mixed]))
    spread = sum((at - at_middle) ** 2 for at in mixed)
    slope = sum((at - at_middle) * (shares[at] - share_at_middle) for at in mixed) / spread if spread else 1.0
    slope = max(slope, 1 / len(shares))
    first, end = (at_middle + (share - share_at_middle) / slope for share in (0.0, 1.0))
    per_sample = (frames[-1] - frames[0]) / (len(frames) - 1)
    within = (min(max(at, 0.0), len(frames) - 1.0) * per_sample + frames[0] for at in (first, end))
    first_frame, end_frame = (round(frame) for frame in within)
    return max(1, first_frame + 1), max(first_frame + 2, end_frame)


def mixture(
    first: np.ndarray, last: np.ndarray, between: np.ndarray, energy_first: float, energy_last: float, together: float
) -> tuple[float, float, float]:
    """Explains the structure of `between` as a mixture of `first` and `last` by least squares.

    Returns (share of first, share of last, explained share of `between`).
    """
    with_first, with_last = float(np.vdot(first, between)), float(np.vdot(last, between))
    determinant = energy_first * energy_last - together * together
    first_share = (with_first * energy_last - with_last * together) / determinant
    last_share = (with_last * energy_first - with_first * together) / determinant
    energy = float(np.vdot(between, between)) or 1.0
    return first_share, last_share, (first_share * with_first + last_share * with_last) / energy


# --- PySceneDetect's ---------------------------------------------------------------------------------------------

# The minimum scene length of its command line; in the library the default is fifteen frames at any rate.
_MIN_SCENE_SECONDS = 0.6


class PySceneDetectCuts:
    """Wraps a detector of PySceneDetect, which is fed pictures of 256x144 from our decoding.

    A fade that it reports later than `look_ahead` is placed at the earliest undecided frame, which differs from
    PySceneDetect's own result only for black that lasts more than a second.
    """

    wants_colour = True
    doubtful: Sequence[int] = ()

    def __init__(self, detector: SceneDetector, fps: float) -> None:
        self._detector = detector
        self._fps = fps
        self._last = 0
        # The filter of short scenes reports a cut up to twice its length late.
        self.look_ahead = math.ceil(2 * _MIN_SCENE_SECONDS * fps) + 4
        self.cut_look_ahead = self.look_ahead

    def push(
        self, frame_index: int, seconds: float, picture: SmallPicture, colour: np.ndarray | None
    ) -> list[Boundary]:
        if colour is None:
            raise ValueError("a PySceneDetect detector needs the colour picture")
        self._last = frame_index
        return self._boundaries(self._detector.process_frame(FrameTimecode(frame_index, self._fps), colour))

    def finish(self) -> list[Boundary]:
        return self._boundaries(self._detector.post_process(FrameTimecode(self._last, self._fps)))

    def _boundaries(self, cuts: list[FrameTimecode]) -> list[Boundary]:
        earliest = max(1, self._last - self.look_ahead + 1)
        return [Boundary(max(at.frame_num, earliest), "cut", 0.0) for at in cuts]


# --- by name -----------------------------------------------------------------------------------------------------


def _pyscenedetect(make: Callable[[float, float], SceneDetector]) -> Callable[[float, float], CutDetector]:
    return lambda level, fps: PySceneDetectCuts(make(level, _MIN_SCENE_SECONDS), fps)


def _transnetv2(level: float, fps: float) -> CutDetector:
    from internvid.video.network_cuts import TransNetCuts

    return TransNetCuts(level, fps)


def _combined(level: float, fps: float) -> CutDetector:
    from internvid.video.network_cuts import CombinedCuts

    return CombinedCuts(level, fps)


# Makes each detector from a threshold and the video's average frames per second.
_DETECTORS: dict[str, Callable[[float, float], CutDetector]] = {
    "combined": _combined,
    "structure+colour": StructureColourCuts,
    "transnetv2": _transnetv2,
    "content": _pyscenedetect(lambda level, length: ContentDetector(level, length)),
    "adaptive": _pyscenedetect(lambda level, length: AdaptiveDetector(level, length)),
    "hist": _pyscenedetect(lambda level, length: HistogramDetector(level, min_scene_len=length)),
    "hash": _pyscenedetect(lambda level, length: HashDetector(level, min_scene_len=length)),
    "threshold": _pyscenedetect(lambda level, length: FadeDetector(level, length)),
}


def make_detector(name: str, threshold: float | None, fps: float) -> CutDetector:
    """Makes a detector for one video. threshold: None for the detector's default. fps: the video's average rate.

    Raises ValueError for an unknown name, ImportError for a detector whose network is not installed.
    """
    level = default_threshold(name) if threshold is None else threshold
    return _DETECTORS[name](level, fps)
