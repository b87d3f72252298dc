"""Whisper behind its provider: tiny ones of the real class, with their tokeniser, loaded from a folder and heard to say
something of real sound.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from real_videos import REAL_VIDEOS, needs_real_videos
from tiny_whisper import save_whisper

from internvid.speech.recognition import Recognised
from internvid.speech.sound import HERTZ, Silero, Window, windows
from orchestration.profiles import providers
from resources.models.transcriber import FasterWhisperTranscriber, SubtitlesOnly, WhisperTranscriber

pytestmark = needs_real_videos


@pytest.fixture(scope="module")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("whispers") / "whisper-tiniest")


@pytest.fixture(scope="module")
def speech() -> list[Window]:
    """What Silero finds in 47 s of radio from the Moon."""
    return list(windows(str(REAL_VIDEOS / "open" / "apollo15_hammer_feather.webm"), Silero()))


def test_whisper_from_a_folder_says_something_of_real_speech(tiny_whisper: Path, speech: list[Window]) -> None:
    provider = WhisperTranscriber(weights=str(tiny_whisper), device="cpu")
    said = provider.recognise(iter(speech))
    assert said.language in ("en", "de", "jv")
    assert said.output_tokens > len(said.cues) > 0
    spans = [(window.start_seconds, window.start_seconds + window.seconds) for window in speech]
    for cue in said.cues:
        assert cue.text.strip() == cue.text != ""
        assert "<|" not in cue.text
        assert any(start <= cue.start_seconds < cue.end_seconds <= end for start, end in spans)
    assert [cue.start_seconds for cue in said.cues] == sorted(cue.start_seconds for cue in said.cues)


def test_what_it_says_depends_on_the_sound_and_not_on_the_batch(tiny_whisper: Path, speech: list[Window]) -> None:
    settings = {"weights": str(tiny_whisper), "device": "cpu", "language": "de"}
    together = WhisperTranscriber(**settings, windows_per_call=8).recognise(speech)
    assert WhisperTranscriber(**settings, windows_per_call=1).recognise(speech) == together
    assert together.language == "de"
    silence = [Window(window.start_seconds, np.zeros_like(window.samples)) for window in speech]
    assert WhisperTranscriber(**settings).recognise(silence) != together


def test_times_move_with_the_window(tiny_whisper: Path, speech: list[Window]) -> None:
    provider = WhisperTranscriber(weights=str(tiny_whisper), device="cpu")
    there, later = (provider.recognise([Window(start, speech[0].samples)]).cues for start in (0.0, 1000.0))
    assert [cue.text for cue in later] == [cue.text for cue in there]
    assert [cue.start_seconds for cue in later] == pytest.approx([cue.start_seconds + 1000 for cue in there])
    assert [cue.end_seconds for cue in later] == pytest.approx([cue.end_seconds + 1000 for cue in there])


def test_windows_are_taken_as_they_come_and_none_are_no_speech(tiny_whisper: Path, speech: list[Window]) -> None:
    provider = WhisperTranscriber(weights=str(tiny_whisper), device="cpu", windows_per_call=2)
    taken = []

    def stream():
        for number in range(12):
            taken.append(number)
            yield Window(number * 30.0, speech[0].samples[: 2 * HERTZ])

    said = provider.recognise(stream())
    assert len(taken) == 12
    assert {int(cue.start_seconds // 30) for cue in said.cues} <= set(range(12))
    assert provider.recognise([]) == Recognised(None, [])


def test_an_english_whisper_takes_everything_for_english(tiny_whisper: Path, tmp_path: Path, speech) -> None:
    english = tmp_path / "whisper-tiniest.en"
    english.mkdir()
    for file in tiny_whisper.iterdir():
        (english / file.name).write_bytes(file.read_bytes())
    settings = json.loads((english / "generation_config.json").read_text())
    for name in ("lang_to_id", "task_to_id"):
        del settings[name]
    (english / "generation_config.json").write_text(json.dumps(settings | {"is_multilingual": False}))
    said = WhisperTranscriber(weights=str(english), device="cpu").recognise(speech)
    assert said.language == "en"
    assert said.cues


def test_faster_whisper_hears_the_same_windows(tiny_whisper: Path, tmp_path: Path, speech: list[Window]) -> None:
    pytest.importorskip("faster_whisper")
    from ctranslate2.converters import TransformersConverter

    folder = tmp_path / "whisper-tiniest-ct2"
    TransformersConverter(str(tiny_whisper), copy_files=["tokenizer.json"]).convert(str(folder))
    provider = FasterWhisperTranscriber(weights=str(folder), device="cpu", generation={"max_new_tokens": 20})
    assert provider.readiness().state == "ready"
    said = provider.recognise(iter(speech))
    assert said.language in ("en", "de", "jv")
    assert said.output_tokens > 0
    spans = [(window.start_seconds, window.start_seconds + window.seconds) for window in speech]
    for cue in said.cues:
        assert any(start <= cue.start_seconds < cue.end_seconds <= end for start, end in spans)
    assert FasterWhisperTranscriber(weights=str(folder), device="cpu", language="de").recognise([]) == Recognised(
        None, []
    )


def test_the_version_names_all_that_decides_what_is_said(tiny_whisper: Path) -> None:
    def version(**settings) -> str:
        return WhisperTranscriber(weights=str(tiny_whisper), **settings).version

    same = [version(), version(device="cpu"), version(windows_per_call=2)]
    other = [
        version(language="de"),
        version(voice_activity=False),
        version(generation={"num_beams": 5}),
        version(subtitles=["uploaded"]),
        FasterWhisperTranscriber(weights=str(tiny_whisper)).version,
        FasterWhisperTranscriber(weights=str(tiny_whisper), compute_type="int8").version,
        SubtitlesOnly().version,
    ]
    assert len(set(same)) == 1
    assert len({*same, *other}) == 1 + len(other)
    assert "whisper-tiniest@" in same[0]


def test_the_profile_chooses_who_listens(tiny_whisper: Path) -> None:
    assert isinstance(providers()["transcriber"], SubtitlesOnly)
    settings = f"{{kind: whisper, weights: {tiny_whisper}, subtitles: [uploaded]}}"
    provider = providers(overrides={"transcriber": settings})["transcriber"]
    assert isinstance(provider, WhisperTranscriber)
    assert (provider.model, provider.subtitles, provider.readiness().state) == (
        "whisper-tiniest",
        ["uploaded"],
        "ready",
    )
    with pytest.raises(ValueError, match="no subtitles are official"):
        providers(overrides={"transcriber": "{kind: subtitles, subtitles: [official]}"})
    assert SubtitlesOnly().readiness().state == "ready"
    missing = WhisperTranscriber(weights="openai/whisper-of-nowhere").readiness()
    assert missing.state == "missing"
