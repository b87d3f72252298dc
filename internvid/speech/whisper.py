"""Whisper by `transformers`: recognises the speech in windows of sound, and its language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain, islice
from typing import Any

import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from internvid.ahead import made_ahead
from internvid.batches import in_batches
from internvid.hub import HubModel
from internvid.speech.language import language_code
from internvid.speech.recognition import LANGUAGE_WINDOWS, Recognised, Recognition
from internvid.speech.sound import HERTZ, Window


class Whisper:
    """Recognises speech with Whisper.

    language: the spoken language by Whisper's name; None: detected once a video. generation: further parameters of
    `generate`.
    """

    def __init__(
        self,
        model: WhisperForConditionalGeneration,
        processor: WhisperProcessor,
        *,
        language: str | None = None,
        windows_per_call: int = 8,
        generation: dict[str, Any] | None = None,
    ) -> None:
        self.model, self.processor = model.eval(), processor
        self.language = language
        self.windows_per_call = windows_per_call
        self.generation = generation or {}

    @classmethod
    def load(cls, weights: HubModel, *, device: torch.device, dtype: torch.dtype | str, **settings: Any) -> Whisper:
        """Loads the model. Raises OSError if its files are not available."""
        model = WhisperForConditionalGeneration.from_pretrained(**weights.source, dtype=dtype, use_safetensors=True)
        model.to(device)  # type: ignore[arg-type]  # the decorator hides its signature
        return cls(model, WhisperProcessor.from_pretrained(**weights.source), **settings)

    def recognise(self, windows: Iterable[Window]) -> Recognised:
        """Recognises the speech in the windows of one video."""
        windows = iter(windows)
        first = list(islice(windows, max(LANGUAGE_WINDOWS, self.windows_per_call)))
        if not first:
            return Recognised(None, [])
        language = self._spoken_language(first[:LANGUAGE_WINDOWS])
        recognition = Recognition()
        batches = in_batches(chain(first, windows), self.windows_per_call)
        # The next windows are cut out of the video, and their features computed, while the model writes.
        for batch, features in made_ahead((batch, self._features(batch)) for batch in batches):
            for window, segments in zip(batch, self._segments(features, language), strict=True):
                recognition.output_tokens += sum(len(segment["tokens"]) for segment in segments)
                recognition.add(window, map(self._segment, segments))
        return recognition.recognised(language_code(language))

    @property
    def _is_multilingual(self) -> bool:
        return bool(getattr(self.model.generation_config, "is_multilingual", False))

    @torch.inference_mode()
    def _spoken_language(self, windows: list[Window]) -> str:
        """Returns the language that Whisper detects in most of the windows."""
        if not self._is_multilingual:
            return "en"
        if self.language is not None:
            return self.language
        ids: Counter[int] = Counter()
        for batch in in_batches(windows, self.windows_per_call):
            ids.update(self.model.detect_language(**self._on_device(self._features(batch))).tolist())
        ((language_id, _),) = ids.most_common(1)
        names = {number: name for name, number in self.model.generation_config.lang_to_id.items()}
        return names[language_id].strip("<|>")

    @torch.inference_mode()
    def _segments(self, features: torch.Tensor, language: str) -> list[list[dict[str, Any]]]:
        """Returns the segments of each window as `generate` makes them: start and end in seconds, and tokens."""
        options = {"language": language, "task": "transcribe"} if self._is_multilingual else {}
        return self.model.generate(
            **self._on_device(features), return_timestamps=True, return_segments=True, **options, **self.generation
        )["segments"]

    def _features(self, windows: list[Window]) -> torch.Tensor:
        """Returns [windows, mel bins, 3000]: each window padded with silence to 30 s, as Whisper was trained."""
        sounds = [window.samples for window in windows]
        return self.processor.feature_extractor(sounds, sampling_rate=HERTZ, return_tensors="pt").input_features

    def _on_device(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"input_features": features.to(self.model.device, self.model.dtype)}

    def _segment(self, segment: dict[str, Any]) -> tuple[float, float, str]:
        text = self.processor.tokenizer.decode(segment["tokens"], skip_special_tokens=True)
        return float(segment["start"]), float(segment["end"]), text
