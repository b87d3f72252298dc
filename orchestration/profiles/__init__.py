"""Profiles: YAML files that configure the model of each provider.

A profile names a kind for each provider, and the settings of that kind: the fields of its class in KINDS. Of several
profiles, `hub,mine.yaml`, a later one overrides an earlier one provider by provider: `mine.yaml` names only what it
changes. A provider can also be configured separately. A class of the user's own is the kind `module:Class`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from resources.catalog.downloader import Downloader
from resources.models.captioner import EmbeddedCaptioner, NoCaptioner
from resources.models.classifier import EmbeddedClassifier, NoClassifier
from resources.models.hub_captioner import HubCaptioner
from resources.models.hub_summariser import HubSummariser
from resources.models.hub_translator import HubTranslator
from resources.models.judge import NoJudge, ServerJudge
from resources.models.provider import ModelProvider
from resources.models.scorers.aesthetics import ClipHeadAesthetics, MeasuredAesthetics
from resources.models.scorers.frame_text_similarity import ClipFrameTextSimilarity
from resources.models.scorers.image_classifier import ImageClassifierScorer
from resources.models.scorers.open_nsfw import OpenNsfwScorer
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
    "classifier": {"none": NoClassifier, "embedded": EmbeddedClassifier},
    "coarse_captioner": _CAPTIONERS,
    "fine_captioner": _CAPTIONERS,
    "clip_captioner": {"none": NoCaptioner, **_CAPTIONERS},
    "summariser": {"embedded": EmbeddedSummariser, "hub": HubSummariser, "server": ServerSummariser},
    "transcriber": {
        "subtitles": SubtitlesOnly,
        "whisper": WhisperTranscriber,
        "faster_whisper": FasterWhisperTranscriber,
    },
    "judge": {"none": NoJudge, "server": ServerJudge},
    "translator": {"none": NoTranslator, "hub": HubTranslator, "server": ServerTranslator},
    "aesthetics": {**_NO_SCORE, "measured": MeasuredAesthetics, "clip_head": ClipHeadAesthetics},
    "frame_text_similarity": {**_NO_SCORE, "clip": ClipFrameTextSimilarity},
    "text_overlay": {**_NO_SCORE, "ocr": OcrTextOverlay},
    "watermark": {**_NO_SCORE, "image_classifier": ImageClassifierScorer},
    "safety": {**_NO_SCORE, "open_nsfw": OpenNsfwScorer, "image_classifier": ImageClassifierScorer},
}


def providers(profile_names: str = "embedded", overrides: Mapping[str, str] | None = None) -> dict[str, ModelProvider]:
    """Returns every provider as the profiles configure it.

    profile_names: as `profile` takes them. overrides: name of a provider -> YAML of its settings, which override the
    profiles. Raises ValueError for invalid settings.
    """
    settings = profile(profile_names)
    for name, text in (overrides or {}).items():
        where = f"{PROVIDER_PREFIX}{name.upper()}"
        settings |= _checked({name.lower(): _parsed(text, where)}, where)
    return {name: _provider(name, settings[name]) for name in KINDS}


def profile(names: str) -> dict[str, dict[str, Any]]:
    """Returns the settings of each provider. names: profiles joined by commas, each a built-in name or a file.

    Raises ValueError for an unknown profile or provider, and for providers that no profile names.
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
    if not isinstance(settings, dict) or not all(
        isinstance(provider, dict) and "kind" in provider for provider in settings.values()
    ):
        raise ValueError(
            f"{where} must hold a provider's name and its settings, with a kind: `summariser: {{kind: …}}`"
        )
    if unknown := sorted(set(settings) - set(KINDS)):
        raise ValueError(f"{where}: there is no provider {', '.join(unknown)}; the providers are {', '.join(KINDS)}")
    return settings


def _provider(name: str, settings: Mapping[str, Any]) -> ModelProvider:
    given = dict(settings)
    kind = given.pop("kind")
    provider_class = _class_of(name, kind)
    fields = provider_class.model_fields
    # Dagster's resources ignore unknown settings.
    if unknown := sorted(set(given) - set(fields)):
        raise ValueError(f"{name}, of kind {kind}, has no {', '.join(unknown)}; it has {', '.join(fields) or 'none'}")
    if missing := [field for field, definition in fields.items() if definition.is_required() and field not in given]:
        raise ValueError(f"{name}, of kind {kind}, needs {', '.join(missing)}")
    try:
        return provider_class(**given)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise ValueError(f"{name}, of kind {kind}: {problems}") from error


def _class_of(name: str, kind: str) -> type[ModelProvider]:
    """Returns the class of a kind: one of KINDS, or `module:Class`, which is imported and must be of that provider."""
    if kind in KINDS[name]:
        return KINDS[name][kind]
    module_name, colon, class_name = str(kind).partition(":")
    if not colon:
        kinds = ", ".join(KINDS[name])
        raise ValueError(f"{name} has no kind {kind!r}: it is one of {kinds}, or module:Class for a class of your own")
    try:
        own_class = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{name}, of kind {kind}: {error}; the module must be in the Python path") from error
    base = base_class(name)
    if not (isinstance(own_class, type) and issubclass(own_class, base)):
        raise ValueError(f"{name}, of kind {kind}: {class_name} is not derived from {base.__module__}:{base.__name__}")
    return own_class


def base_class(name: str) -> type[ModelProvider]:
    """Returns the nearest class from which all kinds of the provider are derived: what it must be able to do."""
    first, *others = KINDS[name].values()
    return next(base for base in first.__mro__ if all(issubclass(kind, base) for kind in others))
