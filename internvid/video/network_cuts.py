"""Cut detectors that ask a trained network: `transnetv2` of every frame, `combined` where our own detector is in doubt.

The network's pictures are made from the small pictures of the pass, which are kept in a ring of bounded length: the
video is decoded once. Does not belong here: the network itself (`cut_network`), our own detector (`cuts`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from internvid.video.cut_network import (
    FRAME_HEIGHT,
    FRAME_WIDTH,
    WINDOW_FRAMES,
    CutProbabilities,
    cut_network,
    network_weights,
)
from internvid.video.cuts import UNLIKE, Boundary, Candidate, StructureColourCuts, mixture, samples_every, unlikeness
from internvid.video.pictures import SmallPicture

# Frames at either end of a window whose answers are not used: what lies beyond the end would change them. The network's
# authors leave out 25.
MARGIN = 25
# A transition's frames by the network's second answer, and how many of them make a change gradual. A hard cut has one
# or two.
WITHIN = 0.3
GRADUAL_FRAMES = 4
GRADUAL_THRESHOLD = 0.3  # of the probability where our own detector finds the pictures unlike but sees no cut


def network_picture(picture: SmallPicture) -> np.ndarray:
    """The picture as the network sees it: [27, 48, 3] uint8 RGB."""
    size = (FRAME_WIDTH, FRAME_HEIGHT)
    luma = cv2.resize(picture.luma, size, interpolation=cv2.INTER_AREA)
    chroma = cv2.resize(picture.chroma, size, interpolation=cv2.INTER_LINEAR)
    return cv2.cvtColor(cv2.merge([luma, chroma[..., 0], chroma[..., 1]]), cv2.COLOR_YUV2RGB)


class Recent:
    """The newest frames of a video, up to a number."""

    def __init__(self, max_frames: int) -> None:
        self._pictures: deque[SmallPicture] = deque(maxlen=max_frames)
        self.end = 0  # the index of the frame that comes next

    def push(self, picture: SmallPicture) -> None:
        self._pictures.append(picture)
        self.end += 1

    @property
    def first(self) -> int:
        """The index of the oldest frame that is kept."""
        return self.end - len(self._pictures)

    def pictures(self, first: int, end: int) -> list[SmallPicture]:
        """The frames [first, end); beyond what is kept, its first or last one again."""
        last = len(self._pictures) - 1
        return [self._pictures[min(max(at - self.first, 0), last)] for at in range(first, end)]

    def ask(self, first: int, end: int, margin: int = MARGIN) -> CutProbabilities:
        """What the network says of the frames [first, end), at most 50 with the usual margin."""
        pictures = self.pictures(first - margin, end + margin)
        answer = cut_network().probabilities(np.stack([network_picture(picture) for picture in pictures]))
        return CutProbabilities(*(values[margin : len(values) - margin] for values in answer))


def runs(of: np.ndarray) -> Iterable[tuple[int, int]]:
    """The spans [first, end) in which a row of booleans is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], of, [False]])))
    return zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


class TransNetCuts:
    """Asks TransNetV2 of every frame; a boundary follows each run of frames above the threshold, as its authors do.

    Frames around the run that the network counts as of the transition make it gradual.
    """

    wants_colour = False
    doubtful: Sequence[int] = ()

    def __init__(self, threshold: float, fps: float) -> None:
        self._threshold = threshold
        self._step = WINDOW_FRAMES - 2 * MARGIN
        network_weights()  # an ImportError here names what to install; the network is loaded when it is first asked
        # A boundary is reported when the transition after it has ended; one that does not end in a window's length is
        # cut off there.
        self.look_ahead = 2 * WINDOW_FRAMES + MARGIN
        self.cut_look_ahead = self.look_ahead
        self._recent = Recent(WINDOW_FRAMES)
        self._asked = 0  # frames below this index have been asked about
        self._answers: deque[tuple[float, float]] = deque()  # of the frames that end with the last one asked about

    def push(
        self, frame_index: int, seconds: float, picture: SmallPicture, colour: np.ndarray | None
    ) -> list[Boundary]:
        self._recent.push(picture)
        if frame_index + 1 < self._asked + self._step + MARGIN:
            return []
        return self._ask(self._asked + self._step)

    def finish(self) -> list[Boundary]:
        boundaries: list[Boundary] = []
        while self._asked < self._recent.end:
            boundaries += self._ask(min(self._asked + self._step, self._recent.end))
        return boundaries + self._report(is_last=True)

    def _ask(self, end: int) -> list[Boundary]:
        answer = self._recent.ask(self._asked, end)
        self._answers.extend(zip(answer.last.tolist(), answer.within.tolist(), strict=True))
        self._asked = end
        return self._report(is_last=False)

    def _report(self, *, is_last: bool) -> list[Boundary]:
        """Reports the boundaries of the answers, but for a transition that may go on."""
        last, within = (np.array([answer[kind] for answer in self._answers]) for kind in (0, 1))
        first_index = self._asked - len(last)
        boundaries: list[Boundary] = []
        settled = len(last)
        for first, end in runs((last > self._threshold) | (within > WITHIN)):
            if end == len(last) and not is_last and len(last) < WINDOW_FRAMES:
                settled = first
                break
            boundaries += network_boundaries(last[first:end], within[first:end], first_index + first, self._threshold)
        for _ in range(settled):
            self._answers.popleft()
        return [boundary for boundary in boundaries if boundary.end < self._recent.end]


def network_boundaries(last: np.ndarray, within: np.ndarray, first_index: int, threshold: float) -> list[Boundary]:
    """The boundaries in a stretch of frames that are all of a transition by one answer or the other.

    last, within: the network's answers. first_index: of the first frame.
    """
    boundaries: list[Boundary] = []
    for first, end in runs(last > threshold):
        score = float(last[first:end].max())
        spans = [span for span in runs(within > WITHIN) if span[0] < end and first < span[1]]
        frames = max((span[1] - span[0] for span in spans), default=0)
        if frames >= GRADUAL_FRAMES:
            span_first, span_end = spans[0][0] + first_index, spans[-1][1] + first_index
            span = max(1, span_first), span_end
            if boundaries and boundaries[-1].end >= span[0]:
                continue  # two peaks in one transition
            boundaries.append(
                Boundary(first_index + first + int(last[first:end].argmax()) + 1, "dissolve", score, span)
            )
        else:
            boundaries.append(Boundary(first_index + end, "cut", score))
    return boundaries


# --- our own detector, and the network where it is in doubt ---------------------------------------------------------

# Frames on either side of a doubtful change that the network is asked about, and frames beyond them that it sees.
AROUND = 8
SHORT_MARGIN = 16
MAX_ASKED = 120  # frames in a question
UNLIKE_ENOUGH = 0.3  # see cuts.unlikeness: below, light or movement explains the change
# Share of the structure that stays in its place. Cuts between places keep less than a tenth.
KEPT = 0.1
# Probabilities from which the network is believed: that a cut is one though a graphic explains it; though the pictures
# are alike; and that a change is gradual where our own detector sees a doubtful cut.
DESPITE_GRAPHIC, DESPITE_LIKENESS, SURE = 0.65, 0.2, 0.7
# A gradual change is suspected where pictures this many samples apart are unlike, with no cut between them.
SUSPECT_SAMPLES = (4, 8, 16)
SUSPECT_CORRELATION = 0.4
SUSPECT_MIXTURE = 0.6  # of the picture between the farthest samples: less, and it is movement
SUSPECT_ENERGY = 9.0  # of structure per pixel: in flatter pictures it is noise
NETWORK_TOLERANCE = 2  # frames from a known boundary: the network sees the same one
QUIET_SAMPLES = 2  # without suspicion, after which a gradual change has ended


class Doubt(NamedTuple):
    """A change that may be a cut.

    kept: see `kept_structure`. is_graphic: whether the change is one block of the picture.
    """

    change: Candidate
    kept: float
    is_graphic: bool

    @property
    def frame_index(self) -> int:
        return self.change.frame_index

    @property
    def is_sure(self) -> bool:
        """Whether it is a cut without asking: between unlike pictures, or a jump cut or slide, which keep structure."""
        is_clear = self.kept >= KEPT or self.change.unlike >= UNLIKE_ENOUGH
        return self.change.is_cut and is_clear and not self.is_graphic

    @property
    def is_worth_asking(self) -> bool:
        return self.change.is_cut or (self.change.unlike >= UNLIKE and self.kept < KEPT)

    def is_cut(self, probability: float) -> bool:
        """Whether it is a cut. probability: what the network says."""
        if not self.change.is_cut:
            return probability >= GRADUAL_THRESHOLD
        if self.is_graphic:
            return probability >= DESPITE_GRAPHIC
        return probability >= DESPITE_LIKENESS


class CandidateCuts(StructureColourCuts):
    """Keeps every change that may be a cut in `changes`, and reports gradual changes alone."""

    def __init__(self, threshold: float, fps: float) -> None:
        super().__init__(threshold, fps)
        self.changes: list[Doubt] = []

    def _cut_at(self, at: int) -> list[Boundary]:
        candidate = self._candidate(at)
        if candidate is not None:
            around = [self._seen[min(max(i, 0), len(self._seen) - 1)].luma for i in range(at - 2, at + 2)]
            self.changes.append(Doubt(candidate, kept_structure(around[1], around[2]), is_graphic(*around)))
        return []


def kept_structure(before: np.ndarray, after: np.ndarray) -> float:
    """The share of two pictures' structure, in blocks of 6 x 8 pixels, that is the same at the same place: 0 to 1.

    before, after: [36, 64] uint8 luma. 1 where both are flat.
    """
    first, second = (_blocks(picture.astype(np.float32)) for picture in (before, after))
    weights = np.maximum(first.std(axis=1), second.std(axis=1))
    weights[weights < 3] = 0
    is_same = np.abs(first - second).mean(axis=1) < np.maximum(2.5, weights / 4)
    total = float(weights.sum())
    return float(weights[is_same].sum()) / total if total else 1.0


def _blocks(picture: np.ndarray) -> np.ndarray:
    return picture.reshape(6, 6, 8, 8).transpose(0, 2, 1, 3).reshape(48, 48)


def is_graphic(earlier: np.ndarray, before: np.ndarray, after: np.ndarray, later: np.ndarray) -> bool:
    """Whether the change from `before` to `after` is one solid block of at most half the picture.

    Movement, as seen from `earlier` to `before` and from `after` to `later`, does not count. [36, 64] uint8 luma each.
    """
    movement = cv2.dilate(cv2.max(cv2.absdiff(earlier, before), cv2.absdiff(after, later)), _SQUARE)
    changed = cv2.absdiff(before, after).astype(np.float32) > 8 + 1.5 * movement
    joined = cv2.morphologyEx(changed.astype(np.uint8), cv2.MORPH_CLOSE, _SQUARE)
    count, _, parts, _ = cv2.connectedComponentsWithStats(joined)
    if count < 2:
        return False
    x, y, width, height, area = parts[1 + int(parts[1:, cv2.CC_STAT_AREA].argmax())]
    fills = float(joined[y : y + height, x : x + width].mean())
    return area >= 0.95 * joined.sum() and width * height <= joined.size / 2 and fills >= 0.6


_SQUARE = np.ones((3, 3), np.uint8)


class _Sample(NamedTuple):
    frame_index: int
    luma: np.ndarray
    structure: np.ndarray
    energy: float


class GradualSuspicion:
    """Finds stretches of frames in which the picture becomes another one without a cut.

    It looks back from some frames before the newest, because a cut is known only then. delay: how many.
    """

    def __init__(self, fps: float, delay: int) -> None:
        self._frames_per_sample = samples_every(fps)
        self._delay = -(-delay // self._frames_per_sample)  # samples
        self._samples: deque[_Sample] = deque(maxlen=SUSPECT_SAMPLES[-1] + 1 + self._delay)

    def push(
        self, frame_index: int, luma: np.ndarray, structure: np.ndarray, cuts: Sequence[int]
    ) -> tuple[int, int] | None:
        """Returns the frames [first, last] between which the picture has changed. cuts: known and possible ones."""
        if frame_index % self._frames_per_sample:
            return None
        self._samples.append(_Sample(frame_index, luma, structure, float(np.vdot(structure, structure))))
        for apart in SUSPECT_SAMPLES:
            if len(self._samples) <= apart + self._delay:
                break
            before, here = self._samples[-1 - self._delay - apart], self._samples[-1 - self._delay]
            if any(before.frame_index < cut <= here.frame_index for cut in cuts):
                break
            if min(here.energy, before.energy) < SUSPECT_ENERGY * structure.size:
                continue
            alike = float(np.vdot(here.structure, before.structure))
            if alike > SUSPECT_CORRELATION * (here.energy * before.energy) ** 0.5:
                continue
            middle = self._samples[-1 - self._delay - apart // 2].structure
            if _explained(before, here, middle, alike) < SUSPECT_MIXTURE:
                continue
            if unlikeness(before.luma, here.luma) >= UNLIKE:
                return before.frame_index, here.frame_index
        return None

    def goes_on(self, end: int, frame_index: int) -> bool:
        """Whether a change that was last suspected at frame `end` may still be suspected to go on."""
        return frame_index - end <= (self._delay + QUIET_SAMPLES) * self._frames_per_sample


def _explained(before: _Sample, here: _Sample, middle: np.ndarray, alike: float) -> float:
    """The share of the structure between two samples that a mixture of both explains. alike: their product."""
    return mixture(before.structure, here.structure, middle, before.energy, here.energy, alike)[2]


class CombinedCuts:
    """Detects cuts by structure and colour, and asks the network of doubtful ones and of gradual changes.

    The network is asked, and believed, where it is good: about graphics that pop up over a shot, changes between alike
    pictures, dissolves and soft cuts with their first and last frames. Our detector alone decides what the network
    misses or invents: jump cuts, slides, shots of a few frames, flashes, flicker, fades through black.
    """

    wants_colour = False

    def __init__(self, threshold: float, fps: float) -> None:
        network_weights()  # an ImportError here names what to install; the network is loaded when it is first asked
        self._candidates = CandidateCuts(threshold, fps)
        self.cut_look_ahead = self._candidates.cut_look_ahead
        self._suspicion = GradualSuspicion(fps, self.cut_look_ahead)
        self.look_ahead = max(
            MAX_ASKED + 3 * AROUND + SHORT_MARGIN + (QUIET_SAMPLES + 3) * samples_every(fps),
            self._candidates.look_ahead,
        )
        self._recent = Recent(self.look_ahead + MAX_ASKED)
        self._doubts: deque[Doubt] = deque()
        self._suspected: tuple[int, int] | None = None  # frames [first, last] of a gradual change
        self._asked = 0  # frames below were asked about, as of a gradual change
        self._dissolves: list[Boundary] = []  # of our own detector, until the network has been asked
        self._known: deque[Boundary] = deque(maxlen=16)  # the newest that were reported

    @property
    def doubtful(self) -> Sequence[int]:
        return [doubt.frame_index for doubt in self._doubts]

    def push(
        self, frame_index: int, seconds: float, picture: SmallPicture, colour: np.ndarray | None
    ) -> list[Boundary]:
        self._recent.push(picture)
        gradual = self._candidates.push(frame_index, seconds, picture, colour)
        boundaries = self._take(gradual)
        if not self._candidates.is_dark:
            cuts = [*(boundary.frame_index for boundary in self._known), *self.doubtful]
            self._suspect(self._suspicion.push(frame_index, picture.luma, self._candidates.structure, cuts))
        return boundaries + self._answers(is_last=False)

    def finish(self) -> list[Boundary]:
        return self._take(self._candidates.finish()) + self._answers(is_last=True)

    def _take(self, gradual: Sequence[Boundary]) -> list[Boundary]:
        """Takes over what our own detector found. Returns what needs no question."""
        boundaries: list[Boundary] = []
        for doubt in self._candidates.changes:
            if doubt.is_sure:
                self._candidates.begin_shot(doubt.frame_index)
                boundaries += self._report(Boundary(doubt.frame_index, "cut", doubt.change.score))
            elif doubt.is_worth_asking:
                self._doubts.append(doubt)
        self._candidates.changes.clear()
        for boundary in gradual:
            if boundary.kind == "fade":
                boundaries += self._report(boundary)
            elif (
                self._suspected is not None
                and boundary.start <= self._suspected[1]
                and boundary.end > self._suspected[0]
            ):
                self._dissolves.append(boundary)
            elif boundary.start >= self._asked:
                self._dissolves.append(boundary)
                self._suspect((boundary.start, boundary.end))
        return boundaries

    def _report(self, boundary: Boundary, *, apart: int = 0) -> list[Boundary]:
        """Returns the boundary in a list, unless one is known at its place, or at most `apart` frames from it."""
        if any(boundary.start <= known.end + apart and known.start - apart <= boundary.end for known in self._known):
            return []
        self._known.append(boundary)
        return [boundary]

    def _suspect(self, span: tuple[int, int] | None) -> None:
        if span is None or span[1] < self._asked:
            return
        first = max(span[0], self._asked)
        if self._suspected is not None:
            first = min(first, self._suspected[0])
        self._suspected = first, span[1]

    def _answers(self, *, is_last: bool) -> list[Boundary]:
        boundaries: list[Boundary] = []
        seen = self._recent.end + (WINDOW_FRAMES if is_last else 0) - SHORT_MARGIN
        while self._doubts:
            first = max(0, self._doubts[0].frame_index - AROUND)
            doubts = [doubt for doubt in self._doubts if doubt.frame_index + AROUND <= first + MAX_ASKED]
            end = doubts[-1].frame_index + AROUND
            if end > seen:
                break
            boundaries += self._decide(doubts, first, min(end, self._recent.end))
            for _ in doubts:
                self._doubts.popleft()
        while self._suspected is not None:
            first, last = max(0, self._suspected[0] - AROUND), self._suspected[1] + AROUND
            is_long = last - first >= MAX_ASKED
            if not is_long and not is_last and self._suspicion.goes_on(self._suspected[1], self._recent.end - 1):
                break
            end = min(last, first + MAX_ASKED)
            if end > seen:
                break
            end = min(end, self._recent.end)
            boundaries += self._gradual(first, end)
            self._asked = end
            self._suspected = (end, last - AROUND) if end < last - AROUND else None
        return boundaries

    def _decide(self, doubts: Sequence[Doubt], first: int, end: int) -> list[Boundary]:
        """Asks about changes in the frames [first, end). Returns those that are boundaries."""
        answer = self._recent.ask(first, end, SHORT_MARGIN)
        soft = [boundary for boundary in network_boundaries(*answer, first, SURE) if boundary.transition is not None]
        boundaries: list[Boundary] = []
        for doubt in doubts:
            at = doubt.frame_index
            around = [
                gradual
                for gradual in soft
                if gradual.start <= at + 1 and at - 1 <= gradual.end and self._is_other_place(gradual)
            ]
            if around and not doubt.is_graphic:
                boundaries += self._report(around[0], apart=NETWORK_TOLERANCE)
            elif doubt.is_cut(float(answer.last[max(0, at - 2 - first) : at + 2 - first].max())):
                cut = Boundary(at, "cut", doubt.change.score)
                if doubt.change.is_cut or self._is_other_place(cut):
                    boundaries += self._report(cut)
        return boundaries

    def _gradual(self, first: int, end: int) -> list[Boundary]:
        """Asks about a suspected gradual change in the frames [first, end)."""
        boundaries: list[Boundary] = []
        answer = self._recent.ask(first, end, SHORT_MARGIN)
        for boundary in network_boundaries(*answer, first, GRADUAL_THRESHOLD):
            if boundary.end < self._recent.end and self._is_other_place(boundary):
                boundaries += self._report(boundary, apart=NETWORK_TOLERANCE)
        settled = [dissolve for dissolve in self._dissolves if dissolve.start < end]
        self._dissolves = [dissolve for dissolve in self._dissolves if dissolve.start >= end]
        for dissolve in settled:
            boundaries += self._report(dissolve)
        return boundaries

    def _is_other_place(self, boundary: Boundary) -> bool:
        """Whether the pictures some frames before and after are unlike, and no graphic explains the change.

        After a flash or a flicker, and between two movements, the same place is seen again.
        """
        last = self._recent.end - 1
        for apart in (0, 3, 6):
            at = max(0, boundary.start - 1 - apart), min(last, boundary.end + apart)
            before, after = (self._recent.pictures(frame, frame + 1)[0].luma for frame in at)
            if unlikeness(before, after) < UNLIKE_ENOUGH:
                return False
        around = (
            self._recent.pictures(boundary.start - 2, boundary.start),
            self._recent.pictures(boundary.end, boundary.end + 2),
        )
        return not is_graphic(*(picture.luma for pictures in around for picture in pictures))
