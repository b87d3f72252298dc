"""One pass over a video: clips that tile it, exact timestamps, upright pictures, movement, and broken files."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from real_videos import REAL_VIDEOS, needs_real_videos

from internvid.synthetic.render import SAMPLE_VIDEOS, read_truth, render, scheduling_kept
from internvid.video.scan import ClipSpan, SampledFrame, UnreadableVideo, _Held, _Reservoir, scan
from internvid.video.settings import ScanSettings

HEIGHT, WIDTH = 120, 160


def texture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """[height, width, 3] uint8 RGB: blobs of two sizes in a colour of its own, so that two seeds make two places."""
    random = np.random.default_rng(seed)
    coarse, fine = (
        cv2.resize(random.uniform(0, 1, (height // n, width // n)), (width, height), interpolation=cv2.INTER_CUBIC)
        for n in (12, 6)
    )
    blobs = 140 * coarse + 115 * fine
    tint = random.uniform(0.3, 1.0, 3)
    return np.clip(blobs[..., None] * tint, 0, 255).astype(np.uint8)


def write_video(
    path: Path,
    pictures: Iterable[np.ndarray],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    fps: int = 25,
    ticks: Callable[[int], int] | None = None,
    rotation: int = 0,
    aspect: Fraction = Fraction(1),
) -> Path:
    """Writes RGB pictures as a video. ticks: timestamp of frame i in milliseconds."""
    with scheduling_kept(), av.open(str(path), "w") as container:
        stream = None
        for i, picture in enumerate(pictures):
            if stream is None:
                stream = container.add_stream(codec, rate=fps)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = pixels
                stream.codec_context.sample_aspect_ratio = aspect
                if ticks:
                    stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
                if rotation:
                    stream.set_display_rotation(-rotation)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            if ticks:
                frame.pts, frame.time_base = ticks(i), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def scanned(path: Path, **settings) -> tuple[list[ClipSpan], list[SampledFrame]]:
    frames: list[SampledFrame] = []
    clips = scan(str(path), ScanSettings(**settings), frames.append)
    return clips, frames


def decoded_pts(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [frame.pts for frame in container.decode(container.streams.video[0])]


def check_whole(clips: list[ClipSpan], frames: list[SampledFrame], pts: list[int]) -> None:
    """The clips tile the frames `pts`, and each has its middle frame, kept once."""
    assert (clips[0].start_frame, clips[0].start_pts, clips[0].start_seconds) == (0, pts[0], 0.0)
    assert clips[0].boundary == "start"
    for clip, after in pairwise(clips):
        assert (clip.end_frame, clip.end_pts, clip.end_seconds) == (
            after.start_frame,
            after.start_pts,
            after.start_seconds,
        )
    assert clips[-1].end_frame == len(pts)
    assert clips[-1].end_pts > pts[-1]
    kept = [frame.pts for frame in frames]
    assert len(kept) == len(set(kept))
    assert set(kept) <= set(pts)
    for clip in clips:
        assert pts[clip.start_frame] == clip.start_pts
        assert clip.start_pts <= clip.middle_pts < clip.end_pts
        assert clip.middle_pts in kept


def places(*frames: int) -> list[np.ndarray]:
    """Shots of these numbers of frames, each in another place, with a little movement."""
    return [np.roll(texture(seed), i, axis=1) for seed, count in enumerate(frames) for i in range(count)]


def picture_of(frame: SampledFrame) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[:2] == (frame.height, frame.width)
    return picture


def test_clips_tile_the_video_and_each_has_its_middle_frame(tmp_path):
    path = write_video(tmp_path / "a.mp4", places(40, 2, 2, 3, 70, 12))
    clips, frames = scanned(path)
    check_whole(clips, frames, decoded_pts(path))
    assert [clip.start_frame for clip in clips] == [0, 40, 42, 44, 47, 117]
    for clip in clips:
        middle = (clip.middle_pts - clip.start_pts) / (clip.end_pts - clip.start_pts)
        assert abs(middle - 0.5) <= 1 / (clip.end_frame - clip.start_frame) + 0.02
    assert clips[-1].end_seconds == pytest.approx(129 / 25)


def test_a_long_shot_keeps_a_frame_near_its_middle_from_few_held(tmp_path):
    path = write_video(tmp_path / "a.mp4", (np.roll(texture(0, 48, 64), i // 5, axis=1) for i in range(1500)))
    (clip,), frames = scanned(path)
    check_whole([clip], frames, decoded_pts(path))
    assert (clip.middle_pts - clip.start_pts) / (clip.end_pts - clip.start_pts) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("width", "height", "max_older"), [(320, 180, 96), (3840, 2160, 8)])
def test_few_decoded_frames_are_held_and_every_shot_finds_its_middle_among_them(width, height, max_older):
    """Shots of any length, each boundary detected some time after it and its shot closed fifty frames after it."""
    random = np.random.default_rng(0)
    frame = av.VideoFrame(width, height, "yuv420p")
    newest, late = 7, 50
    starts = [0, *np.cumsum(random.choice([2, 3, 5, 20, 45, 200, 900], 60)).tolist()]
    reservoir = _Reservoir(newest)
    detected: dict[int, int] = {}  # boundaries detected, not closed: frame -> frame at which it was detected
    open_start = 0
    for now in range(starts[-1] + late + 1):
        for start in starts[1:]:
            is_gradual = all(abs(start - neighbour) > 15 for neighbour in starts if neighbour != start)
            if now == start + (40 if is_gradual else newest - 1):
                detected[start] = now
        while detected and min(detected) <= now - late:
            end = min(detected)
            if width > 320 and not reservoir.holds(open_start, end):  # its own beginning was detected too late
                del detected[end]
                continue
            middle = reservoir.take_middle(open_start, end, (open_start + end) / 2)
            assert open_start <= middle.frame_index < end
            if width == 320:  # a short shot whose beginning was detected late shares the spacing of the long one before
                assert abs(middle.frame_index - (open_start + end) / 2) <= 10 + 0.02 * (end - open_start)
            del detected[end]
            open_start = end
        reservoir.add(
            _Held(now, now, float(now), frame, is_kept=False),
            now,
            start_frame=open_start,
            earliest_middle=(open_start + max(open_start, now - late)) / 2,
            boundaries=detected,
        )
        shots = sum(1 for start in starts if open_start <= start <= now)
        assert len(reservoir._older) + len(reservoir._newest) <= max_older + newest + shots


def test_fine_frames_are_the_first_at_or_after_each_second(tmp_path):
    times = list(np.cumsum([0, *np.random.default_rng(3).integers(20, 180, 60)]))
    path = write_video(
        tmp_path / "a.mkv", [np.roll(texture(1), i, axis=1) for i in range(61)], ticks=lambda i: 5330 + int(times[i])
    )
    clips, frames = scanned(path)
    pts = decoded_pts(path)
    assert pts == [5330 + t for t in times]
    check_whole(clips, frames, pts)
    seconds = range(int(times[-1] / 1000) + 1)
    expected = [min(t for t in times if t >= 1000 * second) + 5330 for second in seconds]
    assert sorted(frame.pts for frame in frames if frame.is_fine) == expected
    assert all(frame.seconds == pytest.approx((frame.pts - 5330) / 1000) for frame in frames)
    half, frames = scanned(path, fine_frames_per_second=0.5)
    assert len([frame for frame in frames if frame.is_fine]) == len(seconds[::2])
    assert half == clips


def test_a_stream_that_begins_late_counts_seconds_from_its_first_frame(tmp_path):
    path = write_video(tmp_path / "a.mp4", places(30, 30), ticks=lambda i: 8333 + 40 * i)
    clips, frames = scanned(path)
    pts = decoded_pts(path)
    assert pts[0] * clips[0].time_base_numerator / clips[0].time_base_denominator == pytest.approx(8.333)
    check_whole(clips, frames, pts)
    assert [clip.end_seconds for clip in clips] == pytest.approx([1.2, 2.4])


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_pictures_and_movement_are_upright(tmp_path, degrees):
    """A bright patch at the top left as shown, over a scene that moves left as shown: the camera turns right."""
    scene = texture(2, 200, 400)
    shown = []
    for i in range(50):
        picture = np.ascontiguousarray(scene[20:180, 2 * i : 2 * i + 240])
        picture[:30, :40] = (255, 0, 0)
        shown.append(np.rot90(picture, degrees // 90))
    clips, frames = scanned(write_video(tmp_path / "a.mp4", shown, rotation=degrees))
    assert len(clips) == 1
    for frame in frames:
        assert (frame.width, frame.height) == (240, 160)
        blue, green, red = picture_of(frame)[8:22, 8:32].mean((0, 1))
        assert red > 200
        assert max(blue, green) < 60
    assert clips[0].pan_x == pytest.approx(2 * 25 / 240, rel=0.2)
    assert clips[0].pan_y == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize(
    ("aspect", "short_side", "expected"),
    [
        (Fraction(4, 3), 384, (160, 90)),
        (Fraction(1, 2), 384, (80, 120)),
        (Fraction(1), 384, (160, 120)),
        (Fraction(1), 60, (80, 60)),
        (Fraction(4, 3), 45, (80, 46)),  # even sizes: 45 becomes 46
    ],
)
def test_pictures_have_square_pixels_and_are_never_enlarged(tmp_path, aspect, short_side, expected):
    path = write_video(tmp_path / "a.mp4", places(5), aspect=aspect)
    _, frames = scanned(path, frame_short_side=short_side)
    assert {(frame.width, frame.height) for frame in frames} == {expected}


@pytest.mark.parametrize(
    ("codec", "pixels", "name"),
    [
        ("libvpx", "yuv420p", "a.webm"),
        ("libvpx-vp9", "yuv420p", "a.webm"),
        ("libsvtav1", "yuv420p", "a.mp4"),
        ("libx265", "yuv420p", "a.mp4"),
        ("mjpeg", "yuvj420p", "a.avi"),
        ("mpeg1video", "yuv420p", "a.mpg"),
        ("mpeg4", "yuv420p", "a.avi"),
        ("ffv1", "yuv422p10le", "a.mkv"),
        ("ffv1", "gray", "a.mkv"),
        ("ffv1", "bgr0", "a.mkv"),
        ("libx264", "yuv444p", "a.mp4"),
        ("libx264rgb", "rgb24", "a.mkv"),
        ("gif", "rgb8", "a.gif"),
    ],
)
def test_every_codec_and_pixel_format_gives_the_same_cut_and_colours(tmp_path, codec, pixels, name):
    if codec not in av.codecs_available:
        pytest.skip(f"this build of PyAV has no {codec}")
    path = write_video(tmp_path / name, places(20, 20), codec=codec, pixels=pixels)
    clips, frames = scanned(path)
    check_whole(clips, frames, decoded_pts(path))
    assert [clip.start_frame for clip in clips] == [0, 20]
    first = min(frames, key=lambda frame: frame.pts)
    seen, true = picture_of(first)[..., ::-1].mean((0, 1)), texture(0).mean((0, 1))
    if pixels == "gray":
        true = np.full(3, true @ [0.299, 0.587, 0.114])
    assert seen == pytest.approx(true, abs=12)


def test_odd_sizes_are_no_trouble(tmp_path):
    pictures = [picture[:111, :133] for picture in places(20, 20)]
    clips, frames = scanned(write_video(tmp_path / "a.mkv", pictures, codec="ffv1", pixels="yuv444p"))
    assert [clip.start_frame for clip in clips] == [0, 20]
    assert {(frame.width, frame.height) for frame in frames} == {(134, 112)}


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_a_truncated_file_yields_what_is_there(tmp_path, keep):
    whole = write_video(tmp_path / "whole.mkv", places(40, 40)).read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole[: int(len(whole) * keep)])
    clips, frames = scanned(path)
    check_whole(clips, frames, decoded_pts(tmp_path / "whole.mkv")[: clips[-1].end_frame])
    assert 20 < clips[-1].end_frame < 80


def test_damaged_packets_are_passed_over_and_counted(tmp_path):
    path = write_video(tmp_path / "a.mkv", places(30), codec="ffv1", pixels="yuv420p")
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        sizes = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for position, size in sizes[10:13]:
        data[position + 8 : position + size] = bytes(size - 8)
    path.write_bytes(data)
    clips, _ = scanned(path)
    assert clips[-1].end_frame + clips[0].decode_errors == 30
    assert clips[0].decode_errors >= 3


def test_a_video_of_which_no_frame_decodes_is_refused(tmp_path):
    data = bytearray(write_video(tmp_path / "a.mp4", places(10)).read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    (tmp_path / "b.mp4").write_bytes(data)
    with pytest.raises(UnreadableVideo, match=r"not one frame can be decoded.*FFmpeg: "):
        scanned(tmp_path / "b.mp4")


def test_long_shots_are_split(tmp_path):
    path = write_video(tmp_path / "a.mp4", places(110, 20))
    clips, frames = scanned(path, max_shot_seconds=2.0)
    check_whole(clips, frames, decoded_pts(path))
    assert [(clip.start_frame, clip.boundary) for clip in clips] == [
        (0, "start"),
        (50, "split"),
        (100, "split"),
        (110, "cut"),
    ]
    whole, _ = scanned(path, max_shot_seconds=None)
    assert [clip.start_frame for clip in whole] == [0, 110]


def moving(
    count: int, *, zoom: float = 1.0, down: float = 0.0, patch: tuple[float, float] | None = None
) -> list[np.ndarray]:
    """A scene that the camera zooms into (times `zoom` a frame) or tilts over, or over which a patch moves (pixels
    a frame, right and down)."""
    scene, thing = texture(5, 600, 800), texture(9, 70, 70)
    pictures = []
    for i in range(count):
        matrix = cv2.getRotationMatrix2D((400.0, 300.0), 0, zoom**i)
        matrix[1, 2] -= down * i
        picture = np.ascontiguousarray(cv2.warpAffine(scene, matrix, (800, 600))[180:420, 240:560])
        if patch:
            x, y = int(30 + patch[0] * i), int(60 + patch[1] * i)
            picture[y : y + 70, x : x + 70] = thing
        pictures.append(picture)
    return pictures


def test_zoom_tilt_and_movers_have_the_signs_of_the_schema(tmp_path):
    ((zoomed,), _) = scanned(write_video(tmp_path / "zoom.mp4", moving(50, zoom=1.01)))
    assert zoomed.zoom == pytest.approx(25 * np.log2(1.01), rel=0.2)
    ((out,), _) = scanned(write_video(tmp_path / "out.mp4", moving(50, zoom=0.99)))
    assert out.zoom == pytest.approx(25 * np.log2(0.99), rel=0.2)
    ((tilted,), _) = scanned(write_video(tmp_path / "tilt.mp4", moving(40, down=2)))
    assert tilted.pan_y == pytest.approx(2 * 25 / 240, rel=0.2)
    assert tilted.moving_share < 0.1
    ((mover,), _) = scanned(write_video(tmp_path / "mover.mp4", moving(50, patch=(3, 1))))
    assert mover.mover_x == pytest.approx(3 * 25 / 320, rel=0.4)
    assert mover.mover_y > 0.03
    assert 0.03 < mover.moving_share < 0.25
    assert mover.pan_x == pytest.approx(0, abs=0.02)


def test_flags_name_still_black_short_and_wild_clips(tmp_path):
    shots = [
        *[texture(1)] * 40,
        *[np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 40,
        *places(10),
    ]
    clips, _ = scanned(write_video(tmp_path / "a.mp4", shots), too_long_seconds=1.5)
    flags = {clip.start_frame: clip.flags for clip in clips}
    assert flags[0] == ["too_long", "still"]
    assert flags[40] == ["too_long", "still", "black"]
    assert flags[80] == ["too_short"]
    assert clips[1].blackness == 1.0
    assert clips[0].stillness == 1.0
    assert clips[0].motion == pytest.approx(0, abs=0.02)
    random = np.random.default_rng(0)
    shaken = [np.roll(texture(3), tuple(random.integers(0, 100, 2)), (0, 1)) for _ in range(60)]
    ((wild,), _) = scanned(write_video(tmp_path / "b.mp4", shaken))
    assert wild.flags == ["wild"]


def test_versions_hold_what_decides_the_rows():
    usual = ScanSettings()
    assert usual.cut_version.startswith("cut4/combined-3.25")
    assert usual.frame_version == "frames3/1fps+384px+q90"
    assert ScanSettings(detector="content").cut_version.startswith("cut4/content-27")
    for change in (
        {"detector": "adaptive"},
        {"threshold": 5.0},
        {"max_shot_seconds": None},
        {"max_shot_seconds": 30.0},
        {"min_shot_seconds": 2.0},
        {"too_long_seconds": 9.0},
        {"still_share": 0.5},
        {"wild_motion": 1.0},
        {"black_share": 0.5},
    ):
        changed = ScanSettings(**change)
        assert changed.cut_version != usual.cut_version, change
        assert changed.frame_version == usual.frame_version, change
    for change in ({"fine_frames_per_second": 2.0}, {"frame_short_side": 224}, {"jpeg_quality": 75}):
        changed = ScanSettings(**change)
        assert changed.frame_version != usual.frame_version, change
        assert changed.cut_version == usual.cut_version, change


@pytest.mark.parametrize("name", ["phone_upright", "park_uneven", "wide_travels"])
def test_a_rendered_video_is_read_as_it_was_made(tmp_path, name):
    (plan,) = (plan for plan in SAMPLE_VIDEOS if plan.name == name)
    path = render(plan, tmp_path)
    truth = read_truth(path)
    clips, frames = scanned(path)
    check_whole(clips, frames, decoded_pts(path))
    assert [clip.start_frame for clip in clips] == [0, *truth.cuts]
    first = truth.shots[0].start_seconds
    for clip, shot in zip(clips, truth.shots, strict=True):
        assert clip.start_seconds == pytest.approx(shot.start_seconds - first, abs=0.002)
        assert clip.end_seconds == pytest.approx(shot.end_seconds - first, abs=0.05)
        if shot.camera.startswith("pan"):
            assert np.sign(clip.pan_x) == {"pan right": 1, "pan left": -1}[shot.camera]
        if shot.camera.startswith("tilt"):
            assert np.sign(clip.pan_y) == {"tilt down": 1, "tilt up": -1}[shot.camera]
        if shot.camera == "zoom in":
            assert clip.zoom > 0.05
    shape = truth.display_width / truth.display_height
    assert all(frame.width / frame.height == pytest.approx(shape, rel=0.02) for frame in frames)


@needs_real_videos
@pytest.mark.parametrize(
    ("name", "frames", "errors"),
    [
        ("odd/decord_corrupted_packets.mp4", 49, 1),
        ("odd/truncated.mkv", 47, 0),
        ("odd/corrupt_middle_bytes.mp4", 287, 0),
        ("odd/no_duration_black.webm", 74, 0),
        ("odd/nonzero_start_pts.mp4", 12, 0),
        ("odd/rot90_three_frames.mov", 3, 0),
        ("odd/single_frame.mp4", 1, 0),
        ("odd/webm_named_as.mp4", 248, 0),
        ("odd/naïve name 名前 'q' (1).mkv", 66, 0),
        ("open/nasa_13013_vfr.mp4", 50, 0),
        ("open/fire2_vfr_rot180.mp4", 25, 0),
        ("open/grid_bbaf2n.mpg", 75, 0),
        ("open/carphone_qcif.mp4", 120, 0),
    ],
)
def test_real_and_broken_files_give_their_frames(name, frames, errors):
    clips, kept = scanned(REAL_VIDEOS / name)
    assert clips[-1].end_frame == frames
    assert clips[0].decode_errors == errors
    middles = {clip.middle_pts for clip in clips}
    assert middles <= {frame.pts for frame in kept}


@needs_real_videos
def test_a_file_cut_in_half_gives_almost_every_frame_that_is_there():
    clips, _ = scanned(REAL_VIDEOS / "odd" / "truncated_half_faststart.mp4")
    assert clips[-1].end_frame >= 111


@pytest.mark.parametrize("detector", ["structure+colour", "combined"])
def test_no_clip_and_no_frame_is_of_a_dissolve(tmp_path, detector):
    first, second = texture(1), texture(2)
    shares = [(i + 1) / 25 for i in range(24)]
    mixed = [np.rint(first * (1 - share) + second * share).astype(np.uint8) for share in shares]
    path = write_video(tmp_path / "dissolve.mp4", [*[first] * 60, *mixed, *[second] * 70])
    frames: list[SampledFrame] = []
    before, after = scan(str(path), ScanSettings(detector=detector, fine_frames_per_second=8), frames.append)
    assert (before.transition_start_seconds, before.transition_end_seconds) == (None, None)
    assert after.boundary == "dissolve"
    assert 58 <= before.end_frame <= 66
    assert 80 <= after.start_frame <= 88
    assert after.transition_start_seconds == pytest.approx(before.end_seconds)
    assert after.transition_end_seconds == pytest.approx(after.start_seconds)
    assert frames
    assert all(frame.pts < before.end_pts or frame.pts >= after.start_pts for frame in frames)
    assert after.end_frame == 154
