"""The sound of a video, in windows where somebody speaks: in the right places, and of bounded length."""

from pathlib import Path

import av
import numpy as np
import pytest

from internvid.films.plans import FilmPlan
from internvid.films.sound import SAMPLES_PER_SECOND, soundtrack
from internvid.speech.sound import FRAME, HERTZ, LONGEST, Everything, Silero, Window, _Finder, windows

VIDEOS = Path(__file__).resolve().parents[4] / "shared" / "videos"
SPAN = LONGEST * FRAME / HERTZ  # seconds of the longest window


class Loud:
    """Takes what is loud for speech: a judge whose verdict a test can write."""

    def __init__(self) -> None:
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def judge(self, frame: np.ndarray) -> float:
        return float(np.abs(frame).mean())


def sound(*stretches: tuple[float, float]) -> np.ndarray:
    """(seconds, loudness) one after the other."""
    return np.concatenate([np.full(round(seconds * HERTZ), loud, np.float32) for seconds, loud in stretches])


def found(samples: np.ndarray, *, piece: int = 4000, start_seconds: float = 0.0) -> list[Window]:
    finder = _Finder(Loud())
    pieces = [samples[at : at + piece] for at in range(0, len(samples), piece)]
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
    assert spans(found(samples)) == [(4.7, 9.3), (18.7, 22.3)]
    assert spans(found(samples, start_seconds=100.0)) == [(104.7, 109.3), (118.7, 122.3)]


@pytest.mark.parametrize("piece", [100, 511, 512, 513, 16_000, 10**6])
def test_it_does_not_matter_in_which_pieces_sound_comes(piece: int) -> None:
    samples = sound((1, 0), (4, 1), (10, 0), (45, 1), (5, 0))
    whole, in_pieces = found(samples), found(samples, piece=piece)
    assert spans(in_pieces) == spans(whole)
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(in_pieces, whole, strict=True))


def test_a_short_pause_ends_no_window_and_a_click_begins_none() -> None:
    assert spans(found(sound((5, 0), (2, 1), (1, 0), (2, 1), (9, 0)))) == [(4.7, 10.3)]
    assert spans(found(sound((5, 0), (0.1, 1), (5, 0)))) == []


def test_a_window_that_is_full_ends_in_a_pause_and_nothing_is_lost() -> None:
    samples = sound((20, 1), (1, 0.1), (20, 1), (5, 0))
    first, second = spans(found(samples))
    assert first[0] == 0.0
    assert 20.0 <= first[1] <= 21.1
    assert 20.0 <= second[0] <= 21.1
    assert second[1] == 41.3


def test_endless_speech_comes_in_windows_that_join_and_fit_whisper() -> None:
    heard = found(np.random.default_rng(0).uniform(0.9, 1.1, 200 * HERTZ).astype(np.float32))
    assert all(window.seconds <= SPAN for window in heard)
    assert sum(len(window.samples) for window in heard) == 200 * HERTZ
    ends = [window.start_seconds + window.seconds for window in heard]
    assert [window.start_seconds for window in heard[1:]] == pytest.approx(ends[:-1])


def test_a_gap_in_the_sound_ends_a_window_and_resets_the_detector() -> None:
    judge = Loud()
    finder = _Finder(judge)
    heard = [*finder.hear(0.0, sound((2, 1))), *finder.hear(60.0, sound((2, 1))), *finder.end()]
    assert spans(heard) == [(0.0, 2.0), (60.0, 62.0)]
    assert judge.resets == 2


def test_memory_is_bounded_by_one_window() -> None:
    finder = _Finder(Loud())
    for number in range(300):
        list(finder.hear(number * 1.0, sound((1, number % 7 > 0))))
        assert finder._open is None or len(finder._open.frames) <= LONGEST


# --- real sound ---------------------------------------------------------------------------------------------------


def test_silero_hears_a_sentence_where_it_is_spoken() -> None:
    (window,) = windows(str(VIDEOS / "open" / "grid_bbaf2n.mpg"), Silero())  # "bin blue at f two now", within 3 s
    assert 0.2 < window.start_seconds < 1.0
    assert 2.0 < window.start_seconds + window.seconds < 3.0
    assert window.samples.dtype == np.float32
    assert 0.05 < np.abs(window.samples).max() <= 1.0


def test_silero_hears_nobody_in_music_and_in_noise() -> None:
    assert list(windows(str(VIDEOS / "open" / "airplane_short_audio.mp4"), Silero())) == []


def test_a_video_without_sound_has_no_windows() -> None:
    assert list(windows(str(VIDEOS / "open" / "carphone_qcif.mp4"), Everything())) == []


def test_sound_is_placed_by_the_clock_of_the_pictures(spoken_film: Path, spoken_plan: FilmPlan) -> None:
    """The film's frames begin at 2 s by the container's clock. What is heard is held against what was synthesized."""
    (window,) = windows(str(spoken_film), Everything())
    assert window.seconds == pytest.approx(4.0, abs=0.1)
    made = soundtrack(spoken_plan, seconds=4.0, boundaries=[2.0], seed=0)[:: SAMPLES_PER_SECOND // HERTZ]
    size = len(made) + len(window.samples)
    products = np.fft.irfft(np.fft.rfft(window.samples, size) * np.conj(np.fft.rfft(made, size)), size)
    lag = int(products.argmax())
    heard_late = (lag - size if lag > size // 2 else lag) / HERTZ
    assert window.start_seconds + heard_late == pytest.approx(0.0, abs=0.01)


def test_damaged_packets_are_passed_over(spoken_film: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mp4"
    data = bytearray(spoken_film.read_bytes())
    with av.open(str(spoken_film)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.pos is not None and packet.size]
    for packet in packets[40:80]:
        data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    damaged.write_bytes(data)
    heard = list(windows(str(damaged), Everything()))
    assert heard[0].start_seconds == pytest.approx(0.0, abs=0.03)
    assert heard[-1].start_seconds + heard[-1].seconds == pytest.approx(4.0, abs=0.1)
