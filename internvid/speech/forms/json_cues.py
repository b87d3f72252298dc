"""JSON: YouTube's json3, and lists of cues as programs write them (Whisper, youtube-transcript-api, bilibili)."""

from __future__ import annotations

from typing import Any

from internvid.speech.cues import RawCue
from internvid.speech.forms.reading import Reading, UnreadableSubtitles, shown

_STARTS, _ENDS, _LENGTHS = ("start", "from", "start_time"), ("end", "to", "end_time"), ("duration", "dur")
_WORDS = ("text", "content", "utf8", "caption")


def read_json(document: Any) -> Reading:
    """Reads a parsed document. Raises UnreadableSubtitles where no list in it has cues."""
    if isinstance(document, dict) and isinstance(document.get("events"), list):
        return _json3(document["events"])
    cues = _list_of_cues(document)
    if cues is None:
        raise UnreadableSubtitles("it is JSON, and no list in it has a start and words")
    reading = Reading("JSON")
    if isinstance(document, dict) and isinstance(document.get("language"), str):
        reading.language = document["language"]
    for number, cue in enumerate(cues, start=1):
        try:
            start, words = float(_value(cue, _STARTS)), str(_value(cue, _WORDS))
            end, lasts = _value(cue, _ENDS), _value(cue, _LENGTHS)
            ended = float(end) if end is not None else None if lasts is None else start + float(lasts)
        except (TypeError, ValueError, AttributeError):
            reading.lose(number, f"its start or words cannot be read: {shown(str(cue))}")
        else:
            reading.cues.append(RawCue(start, ended, words))
    return reading


def _value(cue: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((cue[name] for name in names if cue.get(name) is not None), None)


def _list_of_cues(document: Any) -> list[Any] | None:
    """Returns the first list in which most entries have a start and words."""
    lists = [document] if isinstance(document, list) else []
    if isinstance(document, dict):
        lists = [value for value in document.values() if isinstance(value, list)]
    for entries in lists:
        fitting = sum(
            isinstance(entry, dict) and _value(entry, _STARTS) is not None and _value(entry, _WORDS) is not None
            for entry in entries
        )
        if fitting and 2 * fitting >= len(entries):
            return entries
    return None


def _json3(events: list[Any]) -> Reading:
    """Reads the events with words; only a machine gives words a time or confidence, or appends to a line."""
    reading = Reading("json3")
    for number, event in enumerate(events, start=1):
        if not isinstance(event, dict) or not event.get("segs"):
            if not isinstance(event, dict):
                reading.lose(number, f"it is no event: {shown(str(event))}")
            continue
        segments = event["segs"]
        if not isinstance(segments, list) or not all(isinstance(segment, dict) for segment in segments):
            reading.lose(number, f"its words cannot be read: {shown(str(segments))}")
            continue
        if event.get("aAppend") or any("acAsrConf" in segment or "tOffsetMs" in segment for segment in segments):
            reading.is_automatic = True
        text = "".join(str(segment.get("utf8") or "") for segment in segments)
        lasts = event.get("dDurationMs")
        try:
            start = float(event["tStartMs"]) / 1000
            end = None if lasts is None else start + float(lasts) / 1000
        except (KeyError, TypeError, ValueError):
            if text.strip():
                reading.lose(number, f"its times cannot be read: {shown(text)}")
        else:
            reading.cues.append(RawCue(start, end, text))
    return reading
