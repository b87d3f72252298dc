"""Windows in which a model wrote the same again and again, and windows in which people speak."""

import numpy as np
import pytest

from internvid.speech.recognition import Recognition
from internvid.speech.repetition import Lines, compression_ratio, repeated_windows
from internvid.speech.sound import HERTZ, Window

SPEECH = [
    "So here is the lock, and this is the key that opens it.",
    "I will put it in, turn it twice, and then we will see what is behind the door.",
]


def judged(*windows: list[str], seconds: float = 20.0) -> dict[int, str]:
    of_video = [Lines(30.0 * number, seconds, lines) for number, lines in enumerate(windows)]
    return {number: repeated.why for number, repeated in repeated_windows(of_video).items()}


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["I'm going to go to the store and " * 12], "compresses"),
        (["Oh, oh, oh, oh, " * 10], "compresses"),
        (["我们走吧，我们走吧，" * 12], "compresses"),
        (["Thank you."] * 10, "compresses"),
        (["La la."] * 4, "4 times in a row"),
        (["Thanks for watching!"], "over music"),
        (["Thank you for watching."], "over music"),
        (["ご視聴ありがとうございました"], "over music"),
        (["Untertitel der Amara.org-Community"], "over music"),
        (["Субтитры создавал DimaTorzok"], "over music"),
        (["请不吝点赞 订阅 转发 打赏"], "over music"),
    ],
)
def test_loops_and_credits_are_no_speech(lines, why):
    assert why in judged(lines)[0]


@pytest.mark.parametrize(
    "lines",
    [
        SPEECH,
        [],
        ["No.", "No.", "No!", "Don't do it."],
        ["Subscribe to the channel if you want to see more of what happens behind this door next week."],
        ["今天我们来做一道非常好吃的汤，先把洋葱切成小块，然后放进锅里慢慢地炒。"],
        ["Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, life is but a dream."],
    ],
)
def test_speech_stays(lines):
    assert judged(lines) == {}


def test_a_credit_that_is_said_in_the_time_that_it_takes_stays():
    assert judged(["Thanks for watching!"], seconds=2.0) == {}


def test_windows_with_the_same_words_and_no_others_are_no_speech():
    found = judged(SPEECH, ["Music playing"], ["Music playing."], ["music playing"], ["Yes."], ["Yes."], ["Yes."])
    assert set(found) == {1, 2, 3}
    assert "3 windows" in found[1]
    assert "'Music playing'" in found[1]


def test_ratio_is_whispers_own():
    import zlib

    text = "a line " * 20
    assert compression_ratio(text) == len(text) / len(zlib.compress(text.encode()))


def test_a_repeated_window_has_no_cue_and_the_others_keep_theirs():
    recognition = Recognition()
    sound = np.zeros(20 * HERTZ, np.float32)
    recognition.add(Window(0.0, sound), [(0.0, 5.0, SPEECH[0])])
    recognition.add(Window(30.0, sound), [(2.0 * number, 2.0 * number + 2, "Oh, baby.") for number in range(10)])
    recognition.add(Window(60.0, sound), [(0.0, 5.0, SPEECH[1])])
    recognised = recognition.recognised("en")
    assert [cue.start_seconds for cue in recognised.cues] == [0.0, 60.0]
    assert [(window.start_seconds, window.end_seconds) for window in recognised.repeated] == [(30.0, 50.0)]
