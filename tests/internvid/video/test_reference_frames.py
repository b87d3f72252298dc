"""Leaving out frames that nothing refers to: the same clips and pictures as by decoding every frame."""

from contextlib import ExitStack
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from real_videos import REAL_VIDEOS, needs_real_videos

from internvid.synthetic.render import HARD_VIDEOS, render
from internvid.video.measures import StepShares
from internvid.video.packets import is_referred_to
from internvid.video.probe import open_video
from internvid.video.reference_frames import AROUND, CannotLeaveOut, ReferenceDecoding, Shown
from internvid.video.scan import SampledFrame, scan, stream_to_scan
from internvid.video.settings import ScanSettings

FPS = 25


def place(seed: int, height: int = 240, width: int = 320) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = cv2.resize(random.uniform(0, 1, (height // 24, width // 24)), (width, height))
    fine = cv2.resize(random.uniform(0, 1, (height // 6, width // 6)), (width, height))
    return np.clip((140 * coarse + 90 * fine)[..., None] * random.uniform(0.4, 1, 3), 0, 255).astype(np.uint8)


def moving_places(*frames: int) -> list[np.ndarray]:
    return [np.roll(place(seed), i // 2, axis=1) for seed, count in enumerate(frames) for i in range(count)]


def write_h264(path: Path, pictures: list[np.ndarray], **options: str) -> Path:
    """Writes the pictures as H.264, with three B-frames in a row unless `options` of x264 say otherwise."""
    usual = {"bf": "3", "b_strategy": "0", "g": "250", "crf": "20", "threads": "1"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options=usual | options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def shown_of(
    path: Path, *, leaves_out: bool = True, sampled: tuple[int, ...] = (0,), gone_back: list[Path] | None = None
) -> list[Shown]:
    """All frames of the video. sampled: indices of frames that are to be decoded. gone_back: gets the path if a second
    decoder was opened."""
    with ExitStack() as stack:

        def opened() -> av.VideoStream:
            if gone_back is not None:
                gone_back.append(path)
            return stream_to_scan(stack.enter_context(open_video(str(path))), str(path))

        container = stack.enter_context(open_video(str(path)))
        stream = stream_to_scan(container, str(path))
        counted = iter(range(1_000_000))
        source = ReferenceDecoding(
            container,
            stream,
            rate=Fraction(FPS),
            is_sampled=lambda pts: next(counted) in sampled,
            behind=opened,
            leaves_out=leaves_out,
        )
        return list(source.frames())


def check_same(path: Path, detector: str) -> None:
    """The clips, the sampled frames and the camera are those of every frame; motion and stillness are near."""
    kept: list[list[SampledFrame]] = [[], []]
    every, some = (
        scan(str(path), ScanSettings(detector=detector), frames.append, leaves_out=leaves_out)
        for frames, leaves_out in zip(kept, (False, True), strict=True)
    )
    same = [
        "start_pts",
        "end_pts",
        "start_frame",
        "end_frame",
        "boundary",
        "transition_start_seconds",
        "transition_end_seconds",
        "middle_pts",
        "pan_x",
        "pan_y",
        "zoom",
        "moving_share",
        "decode_errors",
    ]
    assert [[getattr(clip, name) for name in same] for clip in some] == [
        [getattr(clip, name) for name in same] for clip in every
    ]
    by_pts = [{frame.pts: frame for frame in frames} for frames in kept]
    assert by_pts[0] == by_pts[1]
    assert [len(frames) for frames in kept] == [len(frames) for frames in by_pts]
    for one, other in zip(every, some, strict=True):
        if one.end_frame - one.start_frame > FPS:
            # A flash in a frame that was left out is not seen.
            if path.stem not in ("camera_flashes", "strobe_light"):
                assert other.motion == pytest.approx(one.motion, rel=0.15, abs=0.02)
            assert other.stillness == pytest.approx(one.stillness, abs=0.16)


def test_left_out_frames_are_those_that_nothing_refers_to_and_all_others_are_the_decoders(tmp_path):
    path = write_h264(tmp_path / "a.mp4", moving_places(120))
    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        every = {frame.pts: frame.to_ndarray() for frame in container.decode(stream)}
    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        extradata = stream.codec_context.extradata or b""
        packets = [packet for packet in container.demux(stream) if packet.size]
        referred = {packet.pts: is_referred_to(bytes(packet), extradata)[0] for packet in packets}
    shown = shown_of(path)
    assert [frame.pts for frame in shown] == sorted(every)
    left_out = [frame for frame in shown if frame.frame is None]
    assert len(left_out) > 40
    assert not any(referred[frame.pts] for frame in left_out)
    for frame in shown:
        if frame.frame is not None and referred[frame.pts]:
            assert np.array_equal(frame.frame.to_ndarray(), every[frame.pts])


def test_doubtful_places_are_decoded_by_going_back_and_show_the_same_pictures(tmp_path):
    """Cuts without a key frame, in P-frames that are not much larger than others: known only after they are decoded."""
    pictures = moving_places(70, 37, 44, 70)
    path = write_h264(tmp_path / "a.mp4", pictures, x264opts="scenecut=0:keyint=infinite", crf="45")
    gone_back: list[Path] = []
    shown, every = shown_of(path, gone_back=gone_back), shown_of(path, leaves_out=False)
    assert gone_back == [path]
    assert all(frame.frame is not None for frame in every)
    for cut in (70, 107, 151):
        around = range(cut - AROUND + 1, cut + AROUND - 1)
        assert all(shown[index].frame is not None for index in around), cut
    assert sum(frame.frame is None for frame in shown) > 20
    for some, whole in zip(shown, every, strict=True):
        assert some.pts == whole.pts
        assert some.is_anchor == whole.is_anchor
        if some.frame is not None:
            assert np.array_equal(some.frame.to_ndarray(), whole.frame.to_ndarray())
            assert np.array_equal(some.picture.luma, whole.picture.luma)
        else:
            assert np.abs(some.picture.luma.astype(int) - whole.picture.luma).mean() < 6


def test_sampled_frames_are_decoded_whatever_they_are(tmp_path):
    path = write_h264(tmp_path / "a.mp4", moving_places(100))
    sampled = (0, 41, 42, 43, 62)
    shown = shown_of(path, sampled=sampled)
    assert all(shown[index].frame is not None and shown[index].is_anchor for index in sampled)
    assert all(after - before <= 4 for before, after in pairwise([i for i, f in enumerate(shown) if f.frame]))


@pytest.mark.parametrize(
    ("codec", "options"), [("libx264", {"bf": "0"}), ("mpeg4", {}), ("libvpx-vp9", {"cpu-used": "8"})]
)
def test_a_video_without_such_frames_is_decoded_whole(tmp_path, codec, options):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options=options)
        stream.height, stream.width, stream.pix_fmt = 240, 320, "yuv420p"
        for picture in moving_places(30, 30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    with pytest.raises(CannotLeaveOut):
        shown_of(path)
    clips = scan(str(path), ScanSettings(detector="structure+colour"), lambda frame: None, leaves_out=True)
    assert [clip.start_frame for clip in clips] == [0, 30]


def test_a_damaged_video_is_read_as_by_every_frame_and_no_frame_is_kept_twice(tmp_path):
    path = write_h264(tmp_path / "a.mp4", moving_places(150, 60), g="50")
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for position, size in places[140:143]:
        data[position + 4 : position + size] = bytes(size - 4)
    path.write_bytes(data)
    check_same(path, "structure+colour")


def test_changes_over_several_steps_are_spread_as_those_of_known_steps():
    """A blinking light: each step changes all of it, and two steps nothing."""
    dark, half, bright = (np.full((36, 64), level, np.uint8) for level in (100, 104, 108))
    shares = StepShares()
    shares.begin(dark, is_anchor=True)
    for luma, is_anchor in ((half, False), (dark, True), (half, False), (bright, True)):
        shares.learn(luma, is_anchor=is_anchor)
    # Twice two steps of 4 levels made a change over both of 0, which counts 0.9, and of 8.
    change, visible_share = shares.of_each(dark, bright, 2)
    assert change == pytest.approx((0.9 * 8 + 8) / 8 * 8 / 2 / 255)
    assert visible_share == 1.0
    # Each step was half of a change of 8: of a change of 4 none is visible, were it not for what was assumed at first.
    shown_share = shares.of_each(dark, half, 2)[1]
    assert 0 < shown_share < 0.5
    still = StepShares()
    assert still.of_each(dark, dark, 3) == (0.0, 0.0)


HARD = [(plan.name, "combined") for plan in HARD_VIDEOS] + [
    ("fades", "structure+colour"),
    ("dissolves", "structure+colour"),
]


@pytest.mark.parametrize(
    ("name", "detector"),
    [pytest.param(*case, marks=() if case == ("fades", "combined") else pytest.mark.slow) for case in HARD],
)
def test_hard_videos_have_the_same_clips(tmp_path, name, detector):
    (plan,) = (plan for plan in HARD_VIDEOS if plan.name == name)
    check_same(render(plan, tmp_path), detector)


H264_WITH_B_FRAMES = (
    "airplane_short_audio.mp4",
    "bikes_city_cuts.mp4",
    "chaplin_bw.mp4",
    "nasa_13013_multistream.mp4",
    "pexels_skateboard.mp4",
    "psd_testvideo_nature.mp4",
    "sam2_coffee_pour.mp4",
    "sam2_cups_shuffle.mp4",
    "sam2_football_juggle.mp4",
)


@needs_real_videos
@pytest.mark.slow
@pytest.mark.parametrize("name", H264_WITH_B_FRAMES)
def test_real_videos_have_the_same_clips(name):
    check_same(REAL_VIDEOS / "open" / name, "combined")
