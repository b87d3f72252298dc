"""What JPEGs show of HDR, of transparent pictures and of interlaced ones."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from internvid.video.colour import pq_of_nits
from internvid.video.interlacing import is_combed
from internvid.video.probe import probe
from internvid.video.scan import scan
from internvid.video.settings import ScanSettings

WIDTH, HEIGHT, STEPS = 320, 240, 16
CODES = np.linspace(0, 255, STEPS)  # a grey ramp, as SDR shows it
LIGHT = (CODES / 255) ** 2.4
MID_TONES = slice(3, 12)  # 51 to 187


def hlg_of(light: np.ndarray) -> np.ndarray:
    """HLG's code values of grey, by the equations of BT.2100. light: share of 1000 cd/m2, of the display."""
    scene = light ** (1 / 1.2)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


def ramp(path: Path, signal: np.ndarray, transfer: str, *, full: bool) -> Path:
    """A video of grey stripes, in 10 bits. signal: code value of each, 0 to 1."""
    colour = f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:range={'full' if full else 'limited'}"
    settings = f"log-level=none:qp=4:bframes=0:{colour}"  # one frame with B-frames gets no valid time
    luma = signal * 1023 if full else 64 + 876 * signal
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=10, options={"x265-params": settings, "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p10le"
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p10le")
        for number, plane in enumerate(frame.planes):
            values = np.full((plane.height, plane.line_size // 2), 512, "<u2")
            if number == 0:
                values[:, :WIDTH] = np.rint(np.repeat(luma, WIDTH // STEPS))
            plane.update(values.tobytes())
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def kept(path: Path) -> tuple[np.ndarray, list[str]]:
    """The first kept frame, [height, width, 3] BGR, and the flags of the first clip."""
    frames = []
    clips = scan(str(path), ScanSettings(), frames.append)
    return cv2.imdecode(np.frombuffer(frames[0].jpeg, np.uint8), cv2.IMREAD_COLOR), clips[0].flags


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("transfer", "signal"), [("smpte2084", pq_of_nits(203 * LIGHT)), ("arib-std-b67", hlg_of(0.203 * LIGHT))]
)
def test_hdr_shows_the_greys_of_its_sdr_twin(tmp_path, transfer, signal, full):
    path = ramp(tmp_path / "a.mp4", signal, transfer, full=full)
    probed = probe(str(path))
    assert (probed.color_transfer, probed.is_hdr, probed.bit_depth) == (transfer, True, 10)
    picture, _ = kept(path)
    greys = picture[HEIGHT // 2, WIDTH // STEPS // 2 :: WIDTH // STEPS]
    assert np.abs(greys[MID_TONES] - CODES[MID_TONES, None]).max() <= 4
    assert (np.diff(greys.mean(axis=1)) > 4).all()  # bright ones are rolled off, and stay apart
    assert 215 <= greys[-1].mean() <= 240  # reference white, above which there is brighter light


@pytest.mark.parametrize(("nits", "at_least"), [(1000, 253), (4000, 253)])
def test_light_beyond_white_is_white(tmp_path, nits, at_least):
    picture, _ = kept(ramp(tmp_path / "a.mp4", np.full(STEPS, pq_of_nits(np.float64(nits))), "smpte2084", full=False))
    assert picture.min() >= at_least


# --- transparency ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [
        ("a.mov", "qtrle", "argb"),
        ("a.mov", "prores_ks", "yuva444p10le"),
        ("a.mkv", "ffv1", "yuva420p"),
    ],
)
def test_what_is_transparent_is_grey_and_not_black(tmp_path, name, codec, form):
    rgba = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    rgba[:, : WIDTH // 2] = 200, 0, 0, 255
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, form
        for _ in range(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=form)))
        container.mux(stream.encode(None))
    assert probe(str(tmp_path / name)).has_alpha
    picture, flags = kept(tmp_path / name)
    assert np.abs(picture[HEIGHT // 2, 3 * WIDTH // 4] - 128.0).max() <= 2
    assert np.abs(picture[HEIGHT // 2, WIDTH // 4] - np.array([0.0, 0.0, 200.0])).max() <= 4
    assert "black" not in flags


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_webm_with_transparency_is_read_with_it(tmp_path, codec):
    """FFmpeg's own decoders of VP8 and VP9 leave transparency out, and show what is hidden below it."""
    import subprocess

    import imageio_ffmpeg

    shape = "geq=lum=180:cb=90:cr=90:a='if(lt(X,160),255,0)'"
    source = f"color=white:size={WIDTH}x{HEIGHT}:rate=10:duration=0.5,format=yuva420p,{shape}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source, "-c:v", codec]
    subprocess.run([*command, "-auto-alt-ref", "0", "-pix_fmt", "yuva420p", str(tmp_path / "a.webm")], check=True)
    assert probe(str(tmp_path / "a.webm")).has_alpha
    picture, _ = kept(tmp_path / "a.webm")
    assert np.abs(picture[HEIGHT // 2, 3 * WIDTH // 4] - 128.0).max() <= 2
    assert np.abs(picture[HEIGHT // 2, WIDTH // 4] - 128.0).max() > 30


# --- fields ---------------------------------------------------------------------------------------------------------


def bar(path: Path, codec: str = "libx264", *, pixels_per_field: int, order: int = 0, **options: str) -> Path:
    """A white bar that moves, whose two fields are shot one after the other."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv420p"
        for number in range(12):
            rgb = np.full((576, 720, 3), 40, np.uint8)
            for field in (0, 1):
                left = 20 + pixels_per_field * (2 * number + (field ^ order))
                rgb[field::2, left : left + 150] = 200
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def comb(picture: np.ndarray) -> float:
    """How much neighbouring rows differ, beyond rows that are two apart."""
    grey = picture.mean(axis=2)
    return float(np.abs(np.diff(grey, axis=0)).mean() - np.abs(grey[2:] - grey[:-2]).mean())


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"flags": "+ildct+ilme", "preset": "ultrafast"}),
        ("a.mpg", "mpeg2video", {"flags": "+ildct+ilme"}),
        ("a.mp4", "libx264", {"preset": "ultrafast"}),  # marked as progressive, as copies of tapes often are
        ("a.avi", "mpeg4", {}),
    ],
)
def test_fields_leave_no_comb_and_the_clip_is_flagged(tmp_path, name, codec, options, order):
    picture, flags = kept(bar(tmp_path / name, codec, pixels_per_field=6, order=order, **options))
    assert "interlaced" in flags
    assert comb(picture) < 0.3
    whole, flags = kept(bar(tmp_path / f"progressive-{name}", codec, pixels_per_field=0))
    assert "interlaced" not in flags
    assert comb(whole) < 0.3


def test_stripes_and_text_are_no_comb():
    rows = np.full((576, 720), 40, np.uint8)
    rows[::4] = rows[1::4] = 200  # blinds
    for column in range(0, 720, 40):  # lines of letters
        cv2.putText(rows, "Etwas Text", (column, 40 + column // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255)
    assert not is_combed(av.VideoFrame.from_ndarray(rows, format="gray"))
    rows[::2, 100:110] = 255
    rows[1::2, 100:110] = 0
    assert is_combed(av.VideoFrame.from_ndarray(rows, format="gray"))
