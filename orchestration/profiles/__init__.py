"""Which model stands behind each door: a profile is a file, and any door can be set by itself.

A profile names a kind for each door, and that kind's settings: the fields of its class, which KINDS gives. Files given
one after the other, `hub,mine.yaml`, are laid over each other door by door: `mine.yaml` names only what it changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from resources.aesthetics import ClipHeadAesthetics, MeasuredAesthetics
from resources.captioner import EmbeddedCaptioner, NoCaptioner
from resources.door import Door
from resources.downloader import Downloader
from resources.frame_text_similarity import ClipFrameTextSimilarity
from resources.hub_captioner import HubCaptioner
from resources.hub_summariser import HubSummariser
from resources.hub_translator import HubTranslator
from resources.image_classifier import ImageClassifierScorer
from resources.scorer import NoScorer
from resources.server_captioner import ServerCaptioner
from resources.server_summariser import ServerSummariser
from resources.server_translator import ServerTranslator
from resources.summariser import EmbeddedSummariser
from resources.text_overlay import OcrTextOverlay
from resources.transcriber import FasterWhisperTranscriber, SubtitlesOnly, WhisperTranscriber
from resources.translator import NoTranslator

FOLDER = Path(__file__).parent
BUILT_IN = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))
ENVIRONMENT_PREFIX = "INTERNVID_DOOR_"

_CAPTIONERS: dict[str, type[Door]] = {
    "embedded": EmbeddedCaptioner,
    "hub": HubCaptioner,
    "server": ServerCaptioner,
}
_NO_SCORE: dict[str, type[Door]] = {"none": NoScorer}
KINDS: dict[str, dict[str, type[Door]]] = {
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


def doors(environment: Mapping[str, str]) -> dict[str, Door]:
    """Every door as INTERNVID_PROFILE and INTERNVID_DOOR_… set it. Raises ValueError for what cannot be."""
    settings = profile(environment.get("INTERNVID_PROFILE", "embedded"))
    for variable, text in environment.items():
        if variable.startswith(ENVIRONMENT_PREFIX):
            settings |= _checked({variable.removeprefix(ENVIRONMENT_PREFIX).lower(): _parsed(text, variable)}, variable)
    return {name: _door(name, settings[name]) for name in KINDS}


def profile(names: str) -> dict[str, dict[str, Any]]:
    """The settings of each door, of profiles joined by commas: a built-in one's name, or a file.

    Raises ValueError for a profile or door that is not there, and for doors that none of them names.
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
        raise ValueError(f"{where} must hold a door's name and its settings, with a kind: `summariser: {{kind: …}}`")
    if unknown := sorted(set(settings) - set(KINDS)):
        raise ValueError(f"{where}: there is no door {', '.join(unknown)}; the doors are {', '.join(KINDS)}")
    return settings


def _door(name: str, settings: Mapping[str, Any]) -> Door:
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
