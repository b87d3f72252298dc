"""Which model stands behind each provider: a profile is a file, and any provider can be set by itself.

A profile names a kind for each provider, and that kind's settings: the fields of its class, which KINDS gives. Files
given one after the other, `hub,mine.yaml`, are laid over each other provider by provider: `mine.yaml` names only what
it changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from resources.catalog.downloader import Downloader
from resources.models.captioner import EmbeddedCaptioner, NoCaptioner
from resources.models.hub_captioner import HubCaptioner
from resources.models.hub_summariser import HubSummariser
from resources.models.hub_translator import HubTranslator
from resources.models.provider import ModelProvider
from resources.models.scorers.aesthetics import ClipHeadAesthetics, MeasuredAesthetics
from resources.models.scorers.frame_text_similarity import ClipFrameTextSimilarity
from resources.models.scorers.image_classifier import ImageClassifierScorer
from resources.models.scorers.scorer import NoScorer
from resources.models.scorers.text_overlay import OcrTextOverlay
from resources.models.server_captioner import ServerCaptioner
from resources.models.server_summariser import ServerSummariser
from resources.models.server_translator import ServerTranslator
from resources.models.summariser import EmbeddedSummariser
from resources.models.transcriber import FasterWhisperTranscriber, SubtitlesOnly, WhisperTranscriber
from resources.models.translator import NoTranslator

FOLDER = Path(__file__).parent
BUILT_IN = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))
PROVIDER_PREFIX = "INTERNVID_PROVIDER_"

_CAPTIONERS: dict[str, type[ModelProvider]] = {
    "embedded": EmbeddedCaptioner,
    "hub": HubCaptioner,
    "server": ServerCaptioner,
}
_NO_SCORE: dict[str, type[ModelProvider]] = {"none": NoScorer}
KINDS: dict[str, dict[str, type[ModelProvider]]] = {
    "downloader": {"yt_dlp": Downloader},
    "coarse_captioner": _CAPTIONERS,
    "fine_captioner": _CAPTIONERS,
    "clip_captioner": {"none": NoCaptioner, **_CAPTIONERS},
    "summariser": {"embedded": EmbeddedSummariser, "hub": HubSummariser, "server": ServerSummariser},
    "transcriber": {
        "subtitles": SubtitlesOnly,
        "whisper": WhisperTranscriber,
        "faster_whisper": FasterWhisperTranscriber,
    },
    "translator": {"none": NoTranslator, "hub": HubTranslator, "server": ServerTranslator},
    "aesthetics": {**_NO_SCORE, "measured": MeasuredAesthetics, "clip_head": ClipHeadAesthetics},
    "frame_text_similarity": {**_NO_SCORE, "clip": ClipFrameTextSimilarity},
    "text_overlay": {**_NO_SCORE, "ocr": OcrTextOverlay},
    "watermark": {**_NO_SCORE, "image_classifier": ImageClassifierScorer},
    "safety": {**_NO_SCORE, "image_classifier": ImageClassifierScorer},
}


def providers(profile_names: str = "embedded", overrides: Mapping[str, str] | None = None) -> dict[str, ModelProvider]:
    """Returns every provider as the profiles set it.

    profile_names: as `profile` takes them. overrides: one provider by itself, name -> YAML of its settings.
    Raises ValueError for what cannot be.
    """
    settings = profile(profile_names)
    for name, text in (overrides or {}).items():
        where = f"{PROVIDER_PREFIX}{name.upper()}"
        settings |= _checked({name.lower(): _parsed(text, where)}, where)
    return {name: _provider(name, settings[name]) for name in KINDS}


def profile(names: str) -> dict[str, dict[str, Any]]:
    """The settings of each provider, of profiles joined by commas: a built-in one's name, or a file.

    Raises ValueError for a profile or provider that is not there, and for providers that none of them names.
    """
    settings: dict[str, dict[str, Any]] = {}
    for name in names.split(","):
        path = FOLDER / f"{name}.yaml" if name in BUILT_IN else Path(name).expanduser()
        if not path.is_file():
            raise ValueError(f"there is no profile {name!r}: it is one of {', '.join(BUILT_IN)}, or a YAML file")
        settings |= _checked(_parsed(path.read_text(encoding="utf-8"), str(path)), str(path))
    if left_open := sorted(set(KINDS) - set(settings)):
        raise ValueError(f"profile {names!r} sets no {', '.join(left_open)}; begin with a built-in one: hub,{names}")
    return settings


def _parsed(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is not YAML: {error}") from error


def _checked(settings: Any, where: str) -> dict[str, dict[str, Any]]:
    if not isinstance(settings, dict) or not all(isinstance(of, dict) and "kind" in of for of in settings.values()):
        raise ValueError(
            f"{where} must hold a provider's name and its settings, with a kind: `summariser: {{kind: …}}`"
        )
    if unknown := sorted(set(settings) - set(KINDS)):
        raise ValueError(f"{where}: there is no provider {', '.join(unknown)}; the providers are {', '.join(KINDS)}")
    return settings


def _provider(name: str, settings: Mapping[str, Any]) -> ModelProvider:
    given = dict(settings)
    kind = given.pop("kind")
    if kind not in KINDS[name]:
        raise ValueError(f"{name} has no kind {kind!r}: it is one of {', '.join(KINDS[name])}")
    fields = KINDS[name][kind].model_fields
    # Dagster's resources would take no notice of a setting that they do not have.
    if unknown := sorted(set(given) - set(fields)):
        raise ValueError(f"{name}, of kind {kind}, has no {', '.join(unknown)}; it has {', '.join(fields) or 'none'}")
    if missing := [field for field, of in fields.items() if of.is_required() and field not in given]:
        raise ValueError(f"{name}, of kind {kind}, needs {', '.join(missing)}")
    try:
        return KINDS[name][kind](**given)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ValueError(f"{name}, of kind {kind}: {told}") from error
