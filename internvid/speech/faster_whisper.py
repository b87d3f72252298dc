"""Whisper by faster-whisper: CTranslate2 weights, several times as fast, and in int8 also on a CPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from internvid.hub import HubModel
from internvid.speech.language import language_code
from internvid.speech.recognition import LANGUAGE_WINDOWS, Recognised, Recognition
from internvid.speech.sound import Window

if TYPE_CHECKING:
    from faster_whisper import WhisperModel


class FasterWhisper:
    """Recognises speech as `Whisper` does. generation: further parameters of `WhisperModel.transcribe`."""

    def __init__(
        self, model: WhisperModel, *, language: str | None = None, generation: dict[str, Any] | None = None
    ) -> None:
        self.model = model
        self.language = language
        self.generation = generation or {}

    @classmethod
    def load(cls, weights: HubModel, *, device: str, compute_type: str, **settings: Any) -> FasterWhisper:
        """Loads weights in CTranslate2's format. device: cpu, cuda or cuda:1.

        Raises ModuleNotFoundError if faster-whisper is not installed, OSError if the files are not available.
        """
        from faster_whisper import WhisperModel
        from huggingface_hub import snapshot_download

        folder = str(weights.files or snapshot_download(weights.weights, revision=weights.commit))
        kind, _, number = device.partition(":")
        model = WhisperModel(folder, device=kind, device_index=int(number or 0), compute_type=compute_type)
        return cls(model, **settings)

    def recognise(self, windows: Iterable[Window]) -> Recognised:
        """Recognises the speech in the windows of one video."""
        windows = iter(windows)
        first = list(islice(windows, LANGUAGE_WINDOWS))
        if not first:
            return Recognised(None, [])
        language = self._spoken_language(first)
        recognition = Recognition()
        for window in chain(first, windows):
            segments, _ = self.model.transcribe(
                window.samples, language=language, condition_on_previous_text=False, **self.generation
            )
            heard = list(segments)
            recognition.output_tokens += sum(len(segment.tokens) for segment in heard)
            recognition.add(window, [(segment.start, segment.end, segment.text) for segment in heard])
        return recognition.recognised(language_code(language))

    def _spoken_language(self, windows: list[Window]) -> str:
        """Returns the language that Whisper detects in most of the windows."""
        if not self.model.model.is_multilingual:
            return "en"
        if self.language is not None:
            return self.language
        languages = Counter(self.model.detect_language(audio=window.samples)[0] for window in windows)
        return languages.most_common(1)[0][0]
