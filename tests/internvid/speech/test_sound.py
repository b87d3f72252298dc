"""Windows of a video's sound with speech: their places, and their bounded length."""

from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from real_videos import REAL_VIDEOS, needs_real_videos

from internvid.speech.sound import (
    FRAME_SAMPLES,
    HERTZ,
    MAX_FRAMES,
    Everything,
    Silero,
    Window,
    _Finder,
    chosen_sound,
    windows,
)
from internvid.synthetic.plans import VideoPlan
from internvid.synthetic.sound import SAMPLES_PER_SECOND, soundtrack

pytestmark = needs_real_videos
SPAN = MAX_FRAMES * FRAME_SAMPLES / HERTZ  # seconds of the longest window


class Loud:
    """A detector that takes loudness for the probability of speech."""

    def __init__(self) -> None:
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def probability(self, frame: np.ndarray) -> float:
        return float(np.abs(frame).mean())


def sound(*stretches: tuple[float, float]) -> np.ndarray:
    """Returns stretches of (seconds, loudness), joined."""
    return np.concatenate([np.full(round(seconds * HERTZ), loud, np.float32) for seconds, loud in stretches])


def find_windows(samples: np.ndarray, *, piece: int = 4000, start_seconds: float = 0.0) -> list[Window]:
    finder = _Finder(Loud())
    pieces = [samples[start : start + piece] for start in range(0, len(samples), piece)]
    heard = [
        window
        for number, part in enumerate(pieces)
        for window in finder.hear(start_seconds + number * piece / HERTZ, part)
    ]
    return [*heard, *finder.end()]


def spans(heard: list[Window]) -> list[tuple[float, float]]:
    return [(round(window.start_seconds, 1), round(window.start_seconds + window.seconds, 1)) for window in heard]


def test_speech_is_found_where_it_is_with_a_little_silence_around_it() -> None:
    samples = sound((5, 0), (4, 1), (10, 0), (3, 1), (5, 0))
    assert spans(find_windows(samples)) == [(4.7, 9.3), (18.7, 22.3)]
    assert spans(find_windows(samples, start_seconds=100.0)) == [(104.7, 109.3), (118.7, 122.3)]


@pytest.mark.parametrize("piece", [100, 511, 512, 513, 16_000, 10**6])
def test_it_does_not_matter_in_which_pieces_sound_comes(piece: int) -> None:
    samples = sound((1, 0), (4, 1), (10, 0), (45, 1), (5, 0))
    expected, in_pieces = find_windows(samples), find_windows(samples, piece=piece)
    assert spans(in_pieces) == spans(expected)
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(in_pieces, expected, strict=True))


def test_a_short_pause_ends_no_window_and_a_click_begins_none() -> None:
    assert spans(find_windows(sound((5, 0), (2, 1), (1, 0), (2, 1), (9, 0)))) == [(4.7, 10.3)]
    assert spans(find_windows(sound((5, 0), (0.1, 1), (5, 0)))) == []


def test_a_window_that_is_full_ends_in_a_pause_and_nothing_is_lost() -> None:
    samples = sound((20, 1), (1, 0.1), (20, 1), (5, 0))
    first, second = spans(find_windows(samples))
    assert first[0] == 0.0
    assert 20.0 <= first[1] <= 21.1
    assert 20.0 <= second[0] <= 21.1
    assert second[1] == 41.3


def test_endless_speech_comes_in_windows_that_join_and_fit_whisper() -> None:
    heard = find_windows(np.random.default_rng(0).uniform(0.9, 1.1, 200 * HERTZ).astype(np.float32))
    assert all(window.seconds <= SPAN for window in heard)
    assert sum(len(window.samples) for window in heard) == 200 * HERTZ
    ends = [window.start_seconds + window.seconds for window in heard]
    assert [window.start_seconds for window in heard[1:]] == pytest.approx(ends[:-1])


def test_a_gap_in_the_sound_ends_a_window_and_resets_the_detector() -> None:
    detector = Loud()
    finder = _Finder(detector)
    heard = [*finder.hear(0.0, sound((2, 1))), *finder.hear(60.0, sound((2, 1))), *finder.end()]
    assert spans(heard) == [(0.0, 2.0), (60.0, 62.0)]
    assert detector.resets == 2


def test_memory_is_bounded_by_one_window() -> None:
    finder = _Finder(Loud())
    for number in range(300):
        list(finder.hear(number * 1.0, sound((1, number % 7 > 0))))
        assert finder._open is None or len(finder._open.frames) <= MAX_FRAMES


# --- real sound ---------------------------------------------------------------------------------------------------


def test_silero_hears_a_sentence_where_it_is_spoken() -> None:
    (window,) = windows(str(REAL_VIDEOS / "open" / "grid_bbaf2n.mpg"), Silero())  # "bin blue at f two now", within 3 s
    assert 0.2 < window.start_seconds < 1.0
    assert 2.0 < window.start_seconds + window.seconds < 3.0
    assert window.samples.dtype == np.float32
    assert 0.05 < np.abs(window.samples).max() <= 1.0


def test_silero_hears_nobody_in_music_and_in_noise() -> None:
    assert list(windows(str(REAL_VIDEOS / "open" / "airplane_short_audio.mp4"), Silero())) == []


def test_a_video_without_sound_has_no_windows() -> None:
    assert list(windows(str(REAL_VIDEOS / "open" / "carphone_qcif.mp4"), Everything())) == []


def test_sound_is_placed_by_the_clock_of_the_pictures(spoken_video: Path, spoken_plan: VideoPlan) -> None:
    """The video's frames begin at 2 s by the container's clock. The sound is compared with the synthesized one."""
    (window,) = windows(str(spoken_video), Everything())
    assert window.seconds == pytest.approx(4.0, abs=0.1)
    made = soundtrack(spoken_plan, seconds=4.0, boundaries=[2.0], seed=0)[:: SAMPLES_PER_SECOND // HERTZ]
    size = len(made) + len(window.samples)
    products = np.fft.irfft(np.fft.rfft(window.samples, size) * np.conj(np.fft.rfft(made, size)), size)
    lag = int(products.argmax())
    heard_late = (lag - size if lag > size // 2 else lag) / HERTZ
    assert window.start_seconds + heard_late == pytest.approx(0.0, abs=0.01)


def test_damaged_packets_are_passed_over(spoken_video: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mp4"
    data = bytearray(spoken_video.read_bytes())
    with av.open(str(spoken_video)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.pos is not None and packet.size]
    for packet in packets[40:80]:
        data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    damaged.write_bytes(data)
    heard = list(windows(str(damaged), Everything()))
    assert heard[0].start_seconds == pytest.approx(0.0, abs=0.03)
    assert heard[-1].start_seconds + heard[-1].seconds == pytest.approx(4.0, abs=0.1)


# --- which sound, and which of its channels -------------------------------------------------------------------------


def with_sounds(path: Path, *sounds: dict) -> Path:
    """A video with these streams of sound: samples [channels, samples] at 48 kHz, layout, and what its header says."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        streams = []
        for sound in sounds:
            stream = container.add_stream("pcm_s16le", rate=48_000, layout=sound.get("layout", "stereo"))
            stream.metadata.update({name: sound[name] for name in ("language", "title") if name in sound})
            stream.disposition = sound.get("disposition", 0)
            streams.append(stream)
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 99, np.uint8), format="rgb24")
            frame.pts = number
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        for stream, sound in zip(streams, sounds, strict=True):
            samples = np.ascontiguousarray((sound["samples"].T.reshape(1, -1) * 32767).astype(np.int16))
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=sound.get("layout", "stereo"))
            frame.sample_rate = 48_000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def hum(hertz: float, *gains: float) -> np.ndarray:
    """Two seconds of a tone, in one channel for each gain."""
    tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(96_000) / 48_000)
    return np.array(gains)[:, None] * tone


def heard_from(path: Path) -> tuple[float, float]:
    """Loudness, and the frequency that is heard."""
    (window,) = windows(str(path), Everything())
    middle = window.samples[HERTZ // 2 : HERTZ // 2 + HERTZ]
    return float(np.abs(middle).max()), float(np.abs(np.fft.rfft(middle)).argmax())


@pytest.mark.parametrize(
    ("layout", "gains"),
    [
        ("mono", (1,)),
        ("stereo", (1, 1)),
        ("stereo", (1, -1)),  # opposite phase
        ("stereo", (1, -0.9)),
        ("stereo", (0, 1)),
        ("5.1", (0, 0, 1, 0, 0, 0)),  # in front of the picture alone
        ("5.1", (1, -1, 0, 0, 0, 0)),
        ("quad", (1, -1, 1, -1)),
    ],
)
def test_a_voice_is_heard_whatever_the_channels_are(tmp_path: Path, layout: str, gains: tuple[float, ...]) -> None:
    loudness, frequency = heard_from(with_sounds(tmp_path / "a.mkv", {"samples": hum(440, *gains), "layout": layout}))
    assert loudness > 0.1
    assert frequency == 440


def test_the_channel_changes_where_the_phase_does(tmp_path: Path) -> None:
    half = hum(300, 1, 1)[:, :48_000], hum(300, 1, -1)[:, :48_000]
    path = with_sounds(tmp_path / "a.mkv", {"samples": np.concatenate(half, axis=1)})
    (window,) = windows(str(path), Everything())
    assert window.seconds == pytest.approx(2.0, abs=0.05)
    pieces = [float(np.abs(part).max()) for part in np.array_split(window.samples, 20)]  # of a tenth of a second
    assert sum(piece < 0.4 for piece in pieces) <= 3
    assert min(pieces[:9] + pieces[14:19]) > 0.4


@pytest.mark.parametrize(
    ("others", "original"),
    [
        ({"disposition": Disposition.dub | Disposition.default}, {}),
        ({"disposition": Disposition.comment | Disposition.default}, {}),
        ({"disposition": Disposition.visual_impaired}, {}),
        ({"title": "Director's Commentary"}, {}),
        ({"title": "English (Audio Description)"}, {}),
        (
            {"language": "eng", "disposition": Disposition.default},
            {"language": "jpn", "disposition": Disposition.original},
        ),
        ({"language": "eng", "title": "English dub"}, {"language": "jpn"}),
        ({"language": "zxx"}, {"language": "eng"}),
        ({"language": "fra"}, {"language": "qaa"}),
        ({}, {"disposition": Disposition.default}),
    ],
)
def test_the_original_sound_is_heard_and_named(tmp_path: Path, others: dict, original: dict) -> None:
    sounds = {"samples": hum(300, 1, 1), **others}, {"samples": hum(440, 1, 1), **original}
    path = with_sounds(tmp_path / "a.mkv", *sounds)
    assert heard_from(path)[1] == 440
    name = chosen_sound(str(path))
    assert name is not None
    assert name.startswith("stream 2")
    assert original.get("language", "") in name
