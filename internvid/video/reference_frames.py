"""Decodes a video past those frames of H.264 that no other frame refers to, unless something asks for them.

About half of the frames of most H.264 are such frames (B-frames, mostly), and leaving one out costs nothing elsewhere.
They are decoded all the same where their packets are large, around key frames, on the grid of sampled frames, and
wherever the pictures around leave it open whether a shot begins or a picture turns into another one
(`DoubtfulChanges`). What was left out by then is decoded by a second decoder, which goes back to the key frame before
it. A frame that stays undecided shows next to no change: its small picture is a mixture of its neighbours'.

Does not belong here: detecting cuts (`cuts`), making clips (`scan`).
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from statistics import median
from typing import NamedTuple

import av
import av.container
import av.error
import cv2
import numpy as np

from internvid.video.cuts import change_between, is_unlike, mixture, structure_of
from internvid.video.demuxing import packets_or_error
from internvid.video.packets import is_referred_to
from internvid.video.pictures import SmallPicture, small_picture

AROUND = 7  # frames on either side of a doubtful change that are all decoded: what the detector of cuts compares
_MAX_WITHOUT_DTS = 16  # packets at the start of a file
_FIRST_PACKETS = 64  # by which it is decided whether frames can be left out
_MIN_SHARE = 0.15  # of frames that can be left out, for it to be worth the while
_MAX_APART_SECONDS = 0.17  # between two decoded frames: movement over a longer time looks like a cut
_MAX_PIXELS = 2560 * 1440  # of larger pictures, too few fit in memory until they are judged
# A packet this many times as large as usual, and so large against the last key frame, holds a new picture.
_SPIKE, _SPIKE_OF_KEY, _SPIKE_OF_KEY_UNREFERRED = 2.5, 0.4, 0.1
_USUAL_PACKETS = 8
_MAX_PACKETS, _MAX_PACKET_BYTES = 900, 48 << 20  # that are kept to go back to
# The second decoder's share of the work, from which frames are no longer left out.
_FIRST_WORK, _MAX_WORK_SHARE = 64, 0.2
_RESTLESS_SECONDS = 1.0  # after a doubt, in which all frames are decoded


class CannotLeaveOut(Exception):
    """The video is not of the kind of which frames can be left out, or something is wrong with it: decode all."""


@dataclass(slots=True)
class Shown:
    """A frame of the video, in the order of showing.

    frame: None where it was left out; the picture is then a mixture of those of its neighbours. is_anchor: whether it
    is decoded in any case, because other frames refer to it or because it is sampled.
    """

    pts: int
    picture: SmallPicture
    frame: av.VideoFrame | None
    is_anchor: bool


@dataclass(slots=True)
class _Entry:
    """A frame on its way from its packet to where it is shown. index: its place in the order of showing."""

    packet: av.Packet
    pts: int
    is_reference: bool
    is_start: bool  # decoding can start at it
    size: int
    index: int = -1
    is_sampled: bool = False
    is_wanted: bool = False
    is_left_out: bool = False
    frame: av.VideoFrame | None = None
    picture: SmallPicture | None = None

    def __lt__(self, entry: _Entry) -> bool:
        return self.pts < entry.pts


def can_leave_out(stream: av.VideoStream) -> bool:
    """Whether the stream may have frames that can be left out: its packets tell whether it has."""
    context = stream.codec_context
    return context.codec.canonical_name == "h264" and context.width * context.height <= _MAX_PIXELS


class ReferenceDecoding:
    """Decodes the packets of a stream of H.264 that are needed, and yields all its frames in the order of showing.

    is_sampled: whether the frame at a tick is to be decoded in any case; it is called once for each, in order. behind:
    opens the file once more, for the second decoder. leaves_out: False to decode all frames.
    """

    def __init__(
        self,
        container: av.container.InputContainer,
        stream: av.VideoStream,
        *,
        rate: Fraction,
        is_sampled: Callable[[int], bool],
        behind: Callable[[], av.VideoStream],
        leaves_out: bool,
    ) -> None:
        if not can_leave_out(stream):
            raise CannotLeaveOut("not a video of H.264 of at most 1440 lines")
        context = stream.codec_context
        self._container, self._stream = container, stream
        self._decoder = context
        self._extradata = context.extradata or b""
        self._is_sampled = is_sampled
        self._leaves_out = leaves_out
        self._changes = DoubtfulChanges(float(rate))
        self._max_apart = max(1, int(_MAX_APART_SECONDS * rate + 0.01))
        self._restless = round(_RESTLESS_SECONDS * rate)
        self._behind = _Behind(behind)
        self._unordered: list[_Entry] = []  # heap by time: a frame that is shown earlier may still come
        self._last_dts: int | None = None
        self._ordered: dict[int, _Entry] = {}  # from the order of showing to where frames are released
        self._next_index = 0  # of the order of showing
        self._next_to_compare = 0
        self._next_to_release = 0
        self._to_submit: deque[_Entry] = deque()  # in the order of decoding
        self._submitted: dict[int, _Entry] = {}  # by tick, until the decoder returns the frame
        self._newest_pts: int | None = None  # that the decoder has returned
        self._kept: deque[_Entry] = deque()  # packets from the start of the group on, to go back to
        self._kept_bytes = 0
        self._can_go_back = False
        self._all_until = 0  # index up to which all frames are decoded
        self._follows_sample = False
        self._sizes: dict[bool, deque[int]] = {kind: deque(maxlen=_USUAL_PACKETS) for kind in (True, False)}
        self._start_size = 0
        self._last_picture: SmallPicture | None = None  # of the last decoded frame that was released
        self._last_released = -1
        self._has_ended = False
        assert stream.time_base is not None
        self._usual_step = max(1, round(1 / (rate * stream.time_base)))
        self._last_step = self._usual_step
        self._last_pts: int | None = None

    def frames(self) -> Iterator[Shown]:
        """Yields all frames. Raises CannotLeaveOut where the video proves irregular; some frames may be out by then."""
        first: list[_Entry] = []
        is_decided = False
        for packet in packets_or_error(self._container, [self._stream]):
            if isinstance(packet, Exception):
                raise CannotLeaveOut(f"damaged: {packet}")
            if not packet.size:
                continue
            entry = self._entered(packet)
            if not is_decided:
                first.append(entry)
                if len(first) < _FIRST_PACKETS:
                    continue
                _check_worth(first)
                is_decided = True
            yield from self._advance()
        if not is_decided:
            _check_worth(first)
        self._has_ended = True
        while self._unordered:
            self._order(heapq.heappop(self._unordered))
        if self._next_index:
            self._ordered[self._next_index - 1].is_wanted = True
        yield from self._advance()
        self._decode(None)
        if self._submitted:
            raise CannotLeaveOut("frames are missing")
        yield from self._compare_and_release()

    @property
    def end_pts(self) -> int:
        """The tick at which the last frame ends."""
        assert self._last_pts is not None
        return self._last_pts + self._last_step

    def _entered(self, packet: av.Packet) -> _Entry:
        """Takes in a packet."""
        if packet.pts is None or packet.is_corrupt or packet.is_discard:
            raise CannotLeaveOut("a packet without its time, or damaged")
        # Matroska states no time of decoding: FFmpeg finds it after some packets.
        if packet.dts is None and (self._last_dts is not None or len(self._unordered) >= _MAX_WITHOUT_DTS):
            raise CannotLeaveOut("a packet without its time of decoding")
        if packet.dts is not None:
            if self._last_dts is not None and packet.dts <= self._last_dts:
                raise CannotLeaveOut("time runs backwards")
            self._last_dts = packet.dts
        is_reference, is_start = is_referred_to(memoryview(packet), self._extradata)
        entry = _Entry(packet, packet.pts, is_reference, is_start, packet.size)
        if is_start:
            self._can_go_back = self._leaves_out
        if self._can_go_back:
            self._kept.append(entry)
            self._kept_bytes += entry.size
        self._to_submit.append(entry)
        heapq.heappush(self._unordered, entry)
        while self._last_dts is not None and self._unordered and self._unordered[0].pts <= self._last_dts:
            self._order(heapq.heappop(self._unordered))
        return entry

    def _order(self, entry: _Entry) -> None:
        """Gives a frame its place in the order of showing, and decides what is known of it without decoding."""
        previous = self._ordered.get(self._next_index - 1)
        if previous is not None and entry.pts <= previous.pts:
            raise CannotLeaveOut("two frames at one time")
        entry.index = self._next_index
        self._next_index += 1
        self._ordered[entry.index] = entry
        if not self._leaves_out:
            self._all_until = entry.index + 1
        if self._is_sampled(entry.pts):
            entry.is_sampled = entry.is_wanted = True
            self._follows_sample = True
        elif self._follows_sample:
            # Neighbours that are all decoded tell how much of the change between two reference frames each step has.
            entry.is_wanted = True
            self._follows_sample = not entry.is_reference
        if self._is_spike(entry):
            for index in range(entry.index - AROUND, entry.index):
                if index in self._ordered:
                    self._ordered[index].is_wanted = True
            self._all_until = max(self._all_until, entry.index + AROUND)

    def _is_spike(self, entry: _Entry) -> bool:
        """Whether the packet says that the frame is unlike the ones before."""
        sizes = self._sizes[entry.is_reference]
        if entry.is_start:
            self._start_size = entry.size
            return True
        share = _SPIKE_OF_KEY if entry.is_reference else _SPIKE_OF_KEY_UNREFERRED
        is_spike = len(sizes) > 1 and entry.size > _SPIKE * median(sizes) and entry.size > share * self._start_size
        sizes.append(entry.size)
        return is_spike

    def _advance(self) -> Iterator[Shown]:
        """Decodes what is known well enough, and releases what is decided."""
        while self._to_submit:
            entry = self._to_submit[0]
            if entry.index < 0 or (not self._has_ended and self._next_index <= entry.index + AROUND):
                break
            self._to_submit.popleft()
            if self._is_needed(entry):
                self._submitted[entry.pts] = entry
                self._decode(entry.packet)
            else:
                entry.is_left_out = True
        yield from self._compare_and_release()

    def _is_needed(self, entry: _Entry) -> bool:
        if entry.is_reference or entry.is_wanted or entry.index < self._all_until:
            return True
        if not self._can_go_back or self._behind.has_worked_too_much(self._next_to_release):
            return True
        following = self._ordered.get(entry.index + 1)
        # The frame that follows is decoded later only if frames refer to it.
        lasts = entry.index - self._last_before(entry.index) + (1 if following and following.is_reference else 2)
        return lasts > self._max_apart

    def _last_before(self, index: int) -> int:
        """The last frame before `index` that is decoded."""
        index -= 1
        while index > 0 and index in self._ordered and self._ordered[index].is_left_out:
            index -= 1
        return index

    def _decode(self, packet: av.Packet | None) -> None:
        try:
            for frame in self._decoder.decode(packet):
                entry = None if frame.pts is None else self._submitted.pop(frame.pts, None)
                if entry is None or frame.is_corrupt or frame.interlaced_frame:
                    raise CannotLeaveOut("a frame without its time, damaged, or of two fields")
                if self._newest_pts is not None and entry.pts <= self._newest_pts:
                    raise CannotLeaveOut("frames come in another order")
                self._newest_pts = entry.pts
                entry.frame = frame
        except av.error.FFmpegError as error:
            raise CannotLeaveOut(f"damaged: {error}") from error

    def _compare_and_release(self) -> Iterator[Shown]:
        while self._next_to_compare < self._next_index:
            entry = self._ordered[self._next_to_compare]
            if entry.frame is None and not entry.is_left_out:
                if self._newest_pts is not None and entry.pts < self._newest_pts:
                    raise CannotLeaveOut("a frame is missing")
                break
            self._next_to_compare += 1
            if entry.frame is not None:
                entry.picture = small_picture(entry.frame)
                if self._leaves_out:
                    self._doubt(self._changes.push(entry.index, entry.picture, self._is_all_decoded))
        if not self._leaves_out:
            settled = self._next_to_compare
        elif self._has_ended and self._next_to_compare == self._next_index and not self._to_submit:
            self._doubt(self._changes.finish(self._is_all_decoded))
            settled = self._next_index
        else:
            settled = self._changes.settled
        while self._next_to_release < settled:
            yield self._released(self._ordered[self._next_to_release])

    def _is_all_decoded(self, first: int, last: int) -> bool:
        """Whether all frames of a span, and around it, are decoded or will be."""
        for index in range(max(first - AROUND, self._next_to_release), last + AROUND + 1):
            entry = self._ordered.get(index)
            if entry is None:
                if index >= self._all_until and not self._has_ended:
                    return False
            elif entry.is_left_out or not (
                entry.frame or entry.is_reference or entry.is_wanted or self._all_until > index
            ):
                return False
        return True

    def _doubt(self, spans: Sequence[tuple[int, int]]) -> None:
        """Wants all frames of the spans [first, last], and some around them."""
        for first, last in spans:
            for index in range(max(first - AROUND, self._next_to_release), last + AROUND + 1):
                entry = self._ordered.get(index)
                if entry is not None:
                    entry.is_wanted = True
            self._all_until = max(self._all_until, last + AROUND + 1)
        if spans:
            # What follows is decoded at once: going back costs more.
            self._all_until = max(self._all_until, self._next_to_compare + self._restless)

    def _released(self, entry: _Entry) -> Shown:
        if entry.is_wanted and entry.is_left_out:
            self._go_back()
        if entry.picture is None:
            entry.picture = self._mixture(entry)
        else:
            self._last_picture, self._last_released = entry.picture, entry.index
        self._next_to_release += 1
        self._ordered.pop(entry.index - AROUND, None)
        self._forget_packets(entry)
        duration = entry.packet.duration
        if duration and duration > 0:
            self._last_step = duration
        elif self._last_pts is not None and entry.pts - self._last_pts <= 4 * self._usual_step:
            self._last_step = entry.pts - self._last_pts
        self._last_pts = entry.pts
        shown = Shown(entry.pts, entry.picture, entry.frame, entry.is_reference or entry.is_sampled)
        entry.frame = None
        return shown

    def _mixture(self, entry: _Entry) -> SmallPicture:
        """The picture between that of the decoded frame before and that of the one after."""
        index = entry.index + 1
        while self._ordered[index].picture is None:
            index += 1
        before, after = self._last_picture, self._ordered[index].picture
        assert before is not None, "the first frame is decoded"
        assert after is not None, "the last frame is decoded"
        share = (entry.index - self._last_released) / (index - self._last_released)
        luma = cv2.addWeighted(before.luma, 1 - share, after.luma, share, 0)
        chroma = cv2.addWeighted(before.chroma, 1 - share, after.chroma, share, 0)
        return SmallPicture(luma, chroma, cv2.mean(luma)[0])

    def _go_back(self) -> None:
        """Decodes the frames that were left out and are wanted by now."""
        missing = [
            self._ordered[index]
            for index in range(self._next_to_release, self._next_to_compare)
            if self._ordered[index].is_wanted and self._ordered[index].is_left_out
        ]
        self._behind.decode(missing, self._kept)
        for entry in missing:
            assert entry.frame is not None
            entry.picture = small_picture(entry.frame)
            entry.is_left_out = False

    def _forget_packets(self, entry: _Entry) -> None:
        """Forgets packets to which nothing goes back any more."""
        if entry.is_start:
            while self._kept and self._kept[0] is not entry:
                self._kept_bytes -= self._kept.popleft().size
        if len(self._kept) > _MAX_PACKETS or self._kept_bytes > _MAX_PACKET_BYTES:
            self._can_go_back = False
            undecided = range(self._next_to_release, self._next_index)
            if not any(self._ordered[index].is_left_out for index in undecided):
                self._kept.clear()
                self._kept_bytes = 0


def _check_worth(first: Sequence[_Entry]) -> None:
    if sum(not entry.is_reference for entry in first) < _MIN_SHARE * len(first):
        raise CannotLeaveOut("there are few frames, or none, that no other frame refers to")
    if not first[0].is_start:
        raise CannotLeaveOut("the first frame refers to others")


class _Behind:
    """The second decoder: it decodes frames that were left out, from the start of their group of pictures on."""

    def __init__(self, opened: Callable[[], av.VideoStream]) -> None:
        self._opened = opened
        self._decoder: av.VideoCodecContext | None = None
        self._newest: _Entry | None = None  # that was decoded
        self._work = 0  # packets decoded

    def has_worked_too_much(self, frames: int) -> bool:
        """frames: number of frames that the first decoder is done with."""
        return self._work > _FIRST_WORK + _MAX_WORK_SHARE * frames

    def decode(self, missing: Sequence[_Entry], packets: Sequence[_Entry]) -> None:
        """Writes the frames of the entries `missing`. packets: in the order of decoding, from a start before them."""
        if self._decoder is None:
            self._decoder = self._opened().codec_context
        waiting = {entry.pts: entry for entry in missing}
        earliest = missing[0]
        from_start = None  # place of the last start that is shown before the earliest
        from_newest = None
        last = 0
        for place, entry in enumerate(packets):
            if entry.is_start and entry.pts <= earliest.pts:
                from_start = place
            if entry is self._newest:
                from_newest = place + 1
            if entry.pts in waiting:
                last = place
        if from_start is None:
            raise CannotLeaveOut("the start of a group of pictures is gone")
        first_missing = next(place for place, entry in enumerate(packets) if entry.pts in waiting)
        if from_newest is None or from_newest > first_missing or from_newest < from_start:
            self._decoder.flush_buffers()
            from_newest = from_start
        for place in range(from_newest, len(packets)):
            entry = packets[place]
            if place > last and not waiting:
                break
            if entry.is_reference or entry.pts in waiting:
                self._take(entry.packet, waiting)
            self._newest = entry
        else:
            if waiting:
                self._take(None, waiting)
                self._decoder.flush_buffers()
                self._newest = None
        if waiting:
            raise CannotLeaveOut("frames that were left out cannot be decoded")

    def _take(self, packet: av.Packet | None, waiting: dict[int, _Entry]) -> None:
        assert self._decoder is not None
        self._work += 1
        try:
            for frame in self._decoder.decode(packet):
                entry = None if frame.pts is None else waiting.pop(frame.pts, None)
                if entry is not None:
                    entry.frame = frame
        except av.error.FFmpegError as error:
            raise CannotLeaveOut(f"damaged: {error}") from error


# --- where the reference frames are not enough ----------------------------------------------------------------

# Doublings by which a change between decoded frames stands out, from which a cut may hide in it. Half of what makes a
# candidate of the detector: between frames that are further apart, movement changes more.
_DOUBTFUL, _DOUBTFUL_STRUCTURE = 1.75, 0.3
_DOUBTFUL_UNLIKE = 0.3
_PAIRS = 4  # on either side among which a change may stand alone
# A picture turns into another one: seconds over which it is looked for.
_GRADUAL_SECONDS = (0.32, 0.64)
_MAX_GRADUAL_FRAMES = 32
_ALIKE = 0.6  # correlation of two pictures' structure, above which neither has turned into the other
_MIXED = 0.6  # share of the structure between them that a mixture of both explains, from which it is no movement
_DARK_LUMA = 24.0
_LIGHT_STEP = 4.0  # levels of mean luma
# Of a picture that fades the logarithm of the factor of its light, and how much, for its size, that of its contrast may
# differ. In fades they are within a tenth, though the camera moves; shadows and hands change one and not the other.
_FADE_FACTOR, _ONE_FACTOR = 0.07, 0.2
_CALM_FRAMES = 6  # after a movement that looked like a mixture


class _Seen(NamedTuple):
    frame_index: int
    picture: SmallPicture
    structure: np.ndarray
    energy: float


class _Change(NamedTuple):
    """The change from one decoded frame to the next. doublings: see `cuts.change_between`. total: their sum."""

    first: int
    last: int
    doublings: tuple[float, float, float]
    total: float


@dataclass
class DoubtfulChanges:
    """Finds changes between decoded frames in which a boundary may hide, or a gradual change go on.

    settled: frames below this index are in no span that is still to be reported.
    """

    fps: float
    settled: int = 0
    _next_gradual: int = 0
    _newest: deque[_Seen] = field(default_factory=deque)
    _changes: deque[_Change] = field(default_factory=lambda: deque(maxlen=2 * _PAIRS + 1))
    _cuts: deque[int] = field(default_factory=lambda: deque(maxlen=16))

    def __post_init__(self) -> None:
        self._apart = [min(round(seconds * self.fps), _MAX_GRADUAL_FRAMES) for seconds in _GRADUAL_SECONDS]
        self._newest = deque(maxlen=self._apart[-1] + 4 * _PAIRS + 4)

    def push(self, index: int, picture: SmallPicture, is_known: Callable[[int, int], bool]) -> list[tuple[int, int]]:
        """Takes a decoded frame. Returns spans [first, last] of frames that are doubtful.

        is_known: whether nothing in a span, and around it, was or will be left out, so that no doubt is of use.
        """
        structure = structure_of(picture.luma)
        seen = _Seen(index, picture, structure, float(cv2.norm(structure, cv2.NORM_L2SQR)))
        if self._newest:
            before = self._newest[-1]
            change = change_between(before.picture, before.structure, before.energy, picture, structure, seen.energy)
            self._changes.append(_Change(before.frame_index, index, change, sum(change)))
        self._newest.append(seen)
        return self._judge(len(self._changes) - 1 - _PAIRS, is_known)

    def finish(self, is_known: Callable[[int, int], bool]) -> list[tuple[int, int]]:
        """Returns the spans that were not reported for want of frames after them."""
        spans = []
        for at in range(max(0, len(self._changes) - _PAIRS), len(self._changes)):
            spans += self._judge(at, is_known)
        return spans

    def _judge(self, at: int, is_known: Callable[[int, int], bool]) -> list[tuple[int, int]]:
        """Judges the change at a place of the window."""
        if at < 0:
            return []
        first, last, _, _ = self._changes[at]
        self.settled = max(0, last - self._apart[-1] - AROUND - _PAIRS)
        stands_out = self._stands_out(at)
        is_cut = stands_out and self._stands_alone(at)
        if is_cut:
            self._cuts.append(last)
        spans = []
        if stands_out and not is_known(first + 1, last) and (is_cut or self._is_unlike(first, last)):
            spans.append((first + 1, last))
        if last >= self._next_gradual and not is_known(last - self._apart[0], last):
            turned_from = self._turned_from(last)
            if turned_from is not None:
                spans.append((turned_from, last))
        return spans

    def _stands_out(self, at: int) -> bool:
        """Whether the change is larger than those next to it."""
        changes = self._changes
        here = changes[at]
        if here.total < _DOUBTFUL:
            return False
        before = [changes[place].doublings for place in range(max(0, at - 2), at)]
        after = [changes[place].doublings for place in range(at + 1, min(len(changes), at + 3))]
        above = here.total
        for kind in (0, 1, 2):
            left = min((change[kind] for change in before), default=0.0)
            right = min((change[kind] for change in after), default=0.0)
            above -= max(left, right)
        return above >= _DOUBTFUL

    def _stands_alone(self, at: int) -> bool:
        """Whether the change is larger than all around."""
        changes = self._changes
        places = range(max(0, at - _PAIRS), min(len(changes), at + _PAIRS + 1))
        around = [changes[place].doublings for place in places if place != at]
        alone = [
            here - max((change[kind] for change in around), default=0.0)
            for kind, here in enumerate(changes[at].doublings)
        ]
        return sum(alone) >= _DOUBTFUL and alone[2] >= _DOUBTFUL_STRUCTURE

    def _is_unlike(self, first: int, last: int) -> bool:
        return is_unlike(self._seen_at(first).picture.luma, self._seen_at(last).picture.luma, _DOUBTFUL_UNLIKE)

    def _seen_at(self, index: int) -> _Seen:
        """The newest decoded frame at or before `index`."""
        return next(seen for seen in reversed(self._newest) if seen.frame_index <= index)

    def _turned_from(self, last: int) -> int | None:
        """The frame from which on the picture has been turning into the one of frame `last`; None if it has not."""
        here = self._seen_at(last)
        for apart in self._apart:
            if self._newest[0].frame_index > last - apart:
                break
            before = self._seen_at(last - apart)
            if any(before.frame_index < cut <= last for cut in self._cuts):
                break
            if _fades(before, here):
                return before.frame_index
            if self._may_be_mixed(before, here):
                if self._is_unlike(before.frame_index, last):
                    return before.frame_index
                self._next_gradual = last + _CALM_FRAMES
        return None

    def _may_be_mixed(self, before: _Seen, here: _Seen) -> bool:
        """Whether the pictures between two frames may be mixtures of both."""
        together, floor = float(np.vdot(before.structure, here.structure)), here.structure.size
        alike = (together + floor) / math.sqrt((before.energy + floor) * (here.energy + floor))
        if alike >= _ALIKE or before.energy * here.energy <= together * together:
            return False
        middle = self._seen_at((before.frame_index + here.frame_index + 1) // 2).structure
        return mixture(before.structure, here.structure, middle, before.energy, here.energy, together)[2] >= _MIXED


def _fades(before: _Seen, here: _Seen) -> bool:
    """Whether the picture becomes darker or brighter as in a fade: all of it by one factor, or from or to black."""
    mean_before, mean_here = before.picture.mean_luma, here.picture.mean_luma
    if abs(mean_here - mean_before) <= _LIGHT_STEP:
        return False
    if min(mean_here, mean_before) < _DARK_LUMA:
        return True
    floor = here.structure.size
    light = math.log(mean_here / mean_before)
    contrast = math.log((here.energy + floor) / (before.energy + floor)) / 2
    return abs(light) > _FADE_FACTOR and abs(contrast - light) < _ONE_FACTOR * abs(light)
