"""The forms in which others release spans and captions, known by their columns.

Each form reads one row into entries. Cells are as their file has them: a list may be one, or the text of one. The order
decides between forms that share columns: what only one dataset has stands first, any list of spans last.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from internvid.lists.items import (
    ADDRESS_COLUMNS,
    MAX_ADDRESS_CHARACTERS,
    SECONDS_COLUMNS,
    YOUTUBE_COLUMNS,
    address_in,
    text_in,
)
from internvid.lists.times import seconds_of
from internvid.web.addresses import youtube_id_of, youtube_url

Cells = Mapping[str, Any]

START_COLUMNS = ("start_timestamp", "start_seconds", "start_time", "time_start", "start_sec", "start", "begin")
END_COLUMNS = ("end_timestamp", "end_seconds", "end_time", "time_end", "end_sec", "end")
CAPTION_COLUMNS = (
    *("caption", "dense_caption", "text", "sentence", "description", "vast_cap", "short_caption", "name", "label"),
    *("encap", "captions", "query", "prompt"),
)
SPAN_COLUMNS = ("timestamp", "timestamps", "span", "clip_span", "segment", "relevant_windows")
ID_COLUMNS = (*YOUTUBE_COLUMNS, "vid", "yt_id", "ytid", "id")
CLIP_COLUMNS = ("clip_id", "clip_path", "clip_name", "index", "video_id", "videoid", "vid")
TALK_COLUMNS = ("conversations", "messages")
# Column -> name of the score. InternVid renamed UMT-SIM to UMT_Score.
SCORES = {
    "aesthetic_score": "aesthetic_score",
    "umt_score": "umt_score",
    "umt_sim": "umt_score",
    "matching_score": "matching_score",
    "clip_score": "clip_score",
    "clipscore": "clip_score",
    "motion_score": "motion_score",
    "temporal_consistency_score": "temporal_consistency_score",
    "clarity_score": "clarity_score",
    "training_suitability_score": "training_suitability_score",
    "score": "score",
}
OTHER_COLUMNS = (
    *("clip", "meta", "data", "times", "num_segments", "sentences", "annotations", "content_metadata", "json"),
    *("start_frame", "end_frame", "fps", "sen_id", "dl_link", "video"),
)
WANTED = frozenset(
    [
        *(*ADDRESS_COLUMNS, *SECONDS_COLUMNS, *START_COLUMNS, *END_COLUMNS, *CAPTION_COLUMNS, *SPAN_COLUMNS),
        *(*ID_COLUMNS, *CLIP_COLUMNS, *TALK_COLUMNS, *SCORES, *OTHER_COLUMNS),
    ]
)

DIDEMO_SECONDS = 5.0  # of one of the segments that DiDeMo's times count

# ID_START_END: how datasets of clips name them (VATEX, QVHighlights, Kinetics).
_ID_AND_SPAN = re.compile(r"(?P<id>[\w-]{11})_(?P<start>\d+(?:\.\d+)?)_(?P<end>\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Entry:
    """A span as its row has it. address: a URL or path; empty where only the clip's file has a name.

    start, end: unparsed; end None: to the video's end. clip: name of a file that holds this span alone. is_whole_clip:
    whether the row says no span: then it is the whole of that file.
    """

    address: str
    start: Any = 0.0
    end: Any = None
    caption: Any = None
    scores: Mapping[str, Any] = field(default_factory=dict)
    clip: str | None = None
    is_whole_clip: bool = False


@dataclass(frozen=True)
class Form:
    """A form of rows. fits: whether rows with these columns, of which the cells are an example, are of the form."""

    name: str
    fits: Callable[[Collection[str], Cells], bool]
    entries: Callable[[Cells], list[Entry]]


def form_of(names: Collection[str], cells: Cells) -> Form | None:
    """Returns the first form that fits. names: plain names of all columns. cells: of a row."""
    return next((form for form in FORMS if form.fits(names, cells)), None)


# --- what a row says of its video ---------------------------------------------------------------------------------


def _address(cells: Cells) -> str:
    """Returns the URL or path of the row's video. Raises ValueError where it names none."""
    column = next((name for name in ADDRESS_COLUMNS if text_in(cells, name) and not _is_list(cells[name])), None)
    if column is not None:
        address = address_in(cells, column)
        # A column of names may hold ids, and a name of a clip an id and a span.
        if column in ("video", "file", "file_name") and "." not in address and (url := _url_of_id(address)):
            return url
        return address
    for name in ID_COLUMNS:
        text = text_in(cells, name)
        if text is not None:
            if len(text) > MAX_ADDRESS_CHARACTERS:
                raise ValueError(f"its {name} has {len(text):,} characters")
            return _url_of_id(text) or youtube_url(text)
    present = [name for name in (*ADDRESS_COLUMNS, *ID_COLUMNS) if name in cells]
    raise ValueError(f"nothing stands in its column {present[0]}" if present else "it names no video")


def _url_of_id(text: str) -> str | None:
    """Returns YouTube's URL for an id, as ActivityNet (v_ID) and VATEX (ID_START_END) write it, too; else None."""
    if match := _ID_AND_SPAN.fullmatch(text):
        text = match["id"]
    for candidate in (text, text.removeprefix("v_")):
        try:
            return youtube_url(candidate)
        except ValueError:
            continue
    return None


def _clip_name(cells: Cells, address: str) -> str | None:
    """Returns the name of the file that others cut out for the row: an id beside the video's own."""
    for name in CLIP_COLUMNS:
        text = text_in(cells, name)
        if text is not None and _url_of_id(text) is None and not text.isdigit():
            return PurePosixPath(text).name
    named = text_in(cells, "video_id") or text_in(cells, "videoid")
    if named is not None and youtube_id_of(address) is None and named != address:
        return named
    match = _ID_AND_SPAN.fullmatch(text_in(cells, "videoid") or text_in(cells, "vid") or "")
    return match[0] if match else None


def _scores(cells: Cells) -> dict[str, Any]:
    """Returns raw scores by name; of two columns for the same score, the one with a value."""
    return {name: cells[column] for column, name in SCORES.items() if cells.get(column) not in (None, "")}


def _captions(cells: Cells) -> list[Any]:
    """Returns the captions of a row that annotates one span: several where the cell is a list."""
    name = next((name for name in CAPTION_COLUMNS if cells.get(name) not in (None, "", [])), None)
    if name is None:
        return [_answer(cells)]
    cell = cells[name]
    if isinstance(cell, str) and name in ("captions", "encap") and cell.lstrip().startswith("["):
        cell = _list(cell, name)
    if isinstance(cell, Mapping):
        return [_words(cell)]
    return [_words(caption) for caption in cell] if isinstance(cell, list | tuple) else [text_in(cells, name)]


def _answer(cells: Cells) -> str | None:
    """Returns what the assistant says first in a talk about the video."""
    for column in TALK_COLUMNS:
        talk = cells.get(column)
        for turn in _list(talk, column) if talk else ():
            if isinstance(turn, Mapping) and (turn.get("from") or turn.get("role")) in ("gpt", "assistant", "model"):
                words = turn.get("value") or turn.get("content")
                return words if isinstance(words, str) else _words(words)
    return None


def _words(value: Any) -> str | None:
    """Returns the text in a value: of an object what it calls content, caption or text, or all its texts."""
    if isinstance(value, Mapping):
        named = (value.get(name) for name in ("content", "caption", "text", "sentence", "description", "value"))
        text = next((name for name in named if isinstance(name, str) and name.strip()), None)
        return text or " ".join(part for part in value.values() if isinstance(part, str)) or None
    if isinstance(value, list | tuple):
        return " ".join(filter(None, map(_words, value))) or None
    return None if value is None else str(value)


# --- lists in cells -----------------------------------------------------------------------------------------------


def _is_list(cell: Any) -> bool:
    return isinstance(cell, list | tuple | Mapping)


def _list(cell: Any, column: str | None) -> list[Any]:
    """Parses a cell that is a list, or the text of a list in Python or JSON; only literals are evaluated."""
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            try:
                cell = ast.literal_eval(cell)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                message = f"its column {column} is no list as Python writes one: {cell[:80]!r}"
                raise ValueError(message) from None
    if not isinstance(cell, list | tuple):
        raise ValueError(f"its column {column} should hold a list, not {cell!r:.80}")
    return list(cell)


def _is_time(value: Any) -> bool:
    try:
        seconds_of(value)
    except ValueError:
        return False
    return not isinstance(value, list | tuple | Mapping)


def _pair(value: Any, column: str) -> tuple[Any, Any]:
    """Returns start and end of a span: two times, or an object that names them."""
    if isinstance(value, Mapping):
        start = next((value[name] for name in START_COLUMNS if name in value), None)
        end = next((value[name] for name in END_COLUMNS if name in value), None)
        if start is not None:
            return start, end
    if isinstance(value, list | tuple) and len(value) == 2:
        return value[0], value[1]
    raise ValueError(f"its column {column} should hold pairs of start and end, not {value!r:.80}")


def _span_column(names: Collection[str]) -> str | None:
    return next((name for name in SPAN_COLUMNS if name in names), None)


def _is_one_span(cell: Any) -> bool:
    """Says whether a cell holds a single pair of times, not a list of pairs."""
    try:
        values = _list(cell, None)
    except ValueError:
        return False
    return len(values) == 2 and all(map(_is_time, values))


# --- rows of the forms --------------------------------------------------------------------------------------------


def _span_a_row(cells: Cells) -> list[Entry]:
    address = _address(cells)
    start = next((name for name in START_COLUMNS if name in cells), "")
    end = next((name for name in END_COLUMNS if name in cells), "")
    if text_in(cells, start) is None:
        raise ValueError(f"nothing stands in its column {start}")
    clip, scores = _clip_name(cells, address), _scores(cells)
    return [
        Entry(address, text_in(cells, start), text_in(cells, end), caption, scores, clip)
        for caption in _captions(cells)
    ]


def _span_in_a_cell(cells: Cells) -> list[Entry]:
    address, column = _address(cells), _span_column(cells)
    start, end = _pair(_list(cells[column or ""], column), column or "")
    clip, scores = _clip_name(cells, address), _scores(cells)
    return [Entry(address, start, end, caption, scores, clip) for caption in _captions(cells)]


def _spans_in_lists(cells: Cells) -> list[Entry]:
    address, column = _address(cells), _span_column(cells)
    if column is not None:
        pairs = [_pair(value, column) for value in _list(cells[column], column)]
        starts, ends = [start for start, _ in pairs], [end for _, end in pairs]
    else:
        start_column = next(name for name in START_COLUMNS if name in cells)
        end_column = next((name for name in END_COLUMNS if name in cells), None)
        starts = _list(cells.get(start_column), start_column)
        ends = _list(cells.get(end_column), end_column) if end_column else [None] * len(starts)
    texts = next((name for name in ("sentences", *CAPTION_COLUMNS) if name in cells), None)
    captions = _list(cells.get(texts), texts) if texts else [None] * len(starts)
    scores = {name: _list(cell, name) for name, cell in _scores(cells).items()}
    lengths = {"spans": len(starts), "ends": len(ends), "captions": len(captions)} | {
        name: len(values) for name, values in scores.items()
    }
    if len(set(lengths.values())) > 1:
        raise ValueError(f"its lists differ in length: {', '.join(f'{n} {name}' for name, n in lengths.items())}")
    if not starts:
        raise ValueError("it has no span")
    return [
        Entry(address, start, end, caption, {name: values[index] for name, values in scores.items()})
        for index, (start, end, caption) in enumerate(zip(starts, ends, captions, strict=True))
    ]


def _windows_for_one_caption(cells: Cells) -> list[Entry]:
    """QVHighlights: windows within a clip of 150 s, which its name places in the video."""
    name = text_in(cells, "vid") or ""
    match = _ID_AND_SPAN.fullmatch(name)
    offset = float(match["start"]) if match else 0.0
    (caption,) = _captions(cells)
    address = _address(cells)
    entries = []
    for window in _list(cells["relevant_windows"], "relevant_windows"):
        start, end = _pair(window, "relevant_windows")
        entries.append(Entry(address, seconds_of(start) + offset, seconds_of(end) + offset, caption))
    return entries


def _whole_video(cells: Cells) -> list[Entry]:
    address = _address(cells)
    captions = _captions(cells)
    if captions == [None]:
        names = [name for name in (*CAPTION_COLUMNS, *TALK_COLUMNS) if name in cells]
        raise ValueError(f"nothing stands in its column {names[0]}" if names else "it has no caption")
    scores = _scores(cells)
    if match := _ID_AND_SPAN.fullmatch(text_in(cells, "videoid") or text_in(cells, "video_id") or ""):
        return [Entry(address, match["start"], match["end"], caption, scores, match[0]) for caption in captions]
    return [Entry(address, 0.0, None, caption, scores, _clip_name(cells, address)) for caption in captions]


def _whole_clip(cells: Cells) -> list[Entry]:
    name = text_in(cells, "vid")
    if name is None:
        raise ValueError("nothing stands in its column vid")
    if url := _url_of_id(name):
        return _whole_video({**cells, "url": url, "videoid": name})
    scores = _scores(cells)
    return [Entry("", caption=caption, scores=scores, clip=name, is_whole_clip=True) for caption in _captions(cells)]


def _videos_of_a_row(cells: Cells) -> list[Entry]:
    column = next(name for name in ("videos", "video") if _is_list(cells.get(name)) or text_in(cells, name))
    cell = cells[column]
    is_text_of_list = isinstance(cell, str) and cell.lstrip().startswith("[")
    videos = _list(cell, column) if _is_list(cell) or is_text_of_list else [cell]
    if not videos:
        raise ValueError(f"its column {column} names no video")
    return [entry for video in videos for entry in _whole_video({**cells, "videos": None, "video": _name_of(video)})]


def _name_of(video: Any) -> str:
    """Returns the name in an entry of a list of videos: a path, or an object with one."""
    if isinstance(video, Mapping):
        video = next((video[name] for name in (*ADDRESS_COLUMNS, *ID_COLUMNS) if video.get(name)), None)
    return "" if video is None else str(video)


def _hd_vila(cells: Cells) -> list[Entry]:
    address = _address(cells)
    entries = []
    for clip in _list(cells["clip"], "clip"):
        if not isinstance(clip, Mapping) or "span" not in clip:
            raise ValueError(f"its column clip should hold objects with a span, not {clip!r:.80}")
        start, end = _pair(clip["span"], "span")
        caption = next((clip[name] for name in CAPTION_COLUMNS if clip.get(name)), None)
        entries.append(Entry(address, start, end, caption, {}, clip.get("clip_id")))
    return entries


def _vript(cells: Cells) -> list[Entry]:
    meta, data = cells["meta"], cells["data"]
    if not isinstance(meta, Mapping) or not isinstance(data, Mapping):
        raise ValueError("its meta and data should be objects")
    entries = []
    for name, clip in data.items():
        if not isinstance(clip, Mapping):
            raise ValueError(f"its clip {name} should be an object, not {clip!r:.80}")
        video = str(clip.get("video_id") or meta.get("video_id") or "")
        caption = _words(clip.get("caption"))
        column = next((column for column in (*SPAN_COLUMNS, *START_COLUMNS) if column in clip), None)
        if column is None:
            entries.append(Entry(_url_of_id(video) or video, caption=caption, clip=name, is_whole_clip=True))
        else:
            start, end = _pair(clip if column in START_COLUMNS else clip[column], column)
            entries.append(Entry(_url_of_id(video) or video, start, end, caption, {}, name))
    return entries


def _segments(cells: Cells) -> list[Entry]:
    """YouCook2, ActivityNet and others: a list of objects, each with a segment and what happens in it."""
    address = _address(cells)
    entries = []
    for segment in _list(cells["annotations"], "annotations"):
        column = next((name for name in SPAN_COLUMNS if isinstance(segment, Mapping) and name in segment), None)
        if column is None:
            raise ValueError(f"its annotations should be objects with a segment, not {segment!r:.80}")
        start, end = _pair(segment[column], column)
        caption = next((segment[name] for name in CAPTION_COLUMNS if segment.get(name)), None)
        entries.append(Entry(address, start, end, caption))
    return entries


def _didemo(cells: Cells) -> list[Entry]:
    """Several people gave a pair of segments each: the one that most of them gave counts, the first of several."""
    pairs = [_pair(pair, "times") for pair in _list(cells["times"], "times")]
    if not pairs:
        raise ValueError("its column times is empty")
    first, last = Counter(pairs).most_common(1)[0][0]
    start, end = DIDEMO_SECONDS * int(first), DIDEMO_SECONDS * (int(last) + 1)
    link = text_in(cells, "dl_link")
    address = link if link and "://" in link else _address(cells)
    (caption,) = _captions(cells)
    return [Entry(address, start, end, caption)]


def _mira_frames(cells: Cells) -> list[Entry]:
    address = _address(cells)
    try:
        fps = float(cells["fps"])
        start, end = (float(cells[name]) / fps for name in ("start_frame", "end_frame"))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        raise ValueError("its start_frame, end_frame and fps should be numbers") from None
    clip = _clip_name(cells, address)
    return [Entry(address, start, end, caption, _scores(cells), clip) for caption in _captions(cells)]


def _fine_video(cells: Cells) -> list[Entry]:
    record = cells if "content_metadata" in cells else _object(cells["json"], "json")
    content = _object(record.get("content_metadata"), "content_metadata")
    name = str(record.get("original_video_filename") or record.get("video_id") or "")
    stem = PurePosixPath(name).stem
    address = text_in(record, "url") or _url_of_id(stem) or name
    if not address:
        raise ValueError("nothing stands in its column original_video_filename")
    entries = []
    for scene in content.get("scenes") or ():
        times = _object(scene.get("timestamps") or scene.get("timestamp"), "timestamps")
        start, end = _pair(times, "timestamps")
        done = " ".join(str(each.get("description") or "") for each in scene.get("activities") or ()).strip()
        title = str(scene.get("title") or "").strip()
        caption = f"{title}. {done}" if title and done else title or done or None
        entries.append(Entry(address, start, end, caption))
    if not entries:
        raise ValueError("its content_metadata has no scenes")
    return entries


def _object(value: Any, column: str) -> Mapping[str, Any]:
    if isinstance(value, str | bytes):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"its column {column} is no JSON: {error}") from None
    if not isinstance(value, Mapping):
        raise ValueError(f"its column {column} should hold an object, not {value!r:.80}")
    return value


def _has(*needed: str) -> Callable[[Collection[str], Cells], bool]:
    return lambda names, cells: all(name in names for name in needed)


def _any(names: Collection[str], wanted: Sequence[str]) -> bool:
    return any(name in names for name in wanted)


def _has_video_list(names: Collection[str], cells: Cells) -> bool:
    return "videos" in names or ("video" in names and (_any(names, TALK_COLUMNS) or _is_list(cells.get("video"))))


FORMS = (
    Form(
        "FineVideo (scenes of a video)",
        lambda names, cells: "content_metadata" in names or "json" in names,
        _fine_video,
    ),
    Form(
        "HD-VILA (clips of a video)", lambda names, cells: "clip" in names and not _is_time(cells.get("clip")), _hd_vila
    ),
    Form("Vript (scenes of a video)", _has("meta", "data"), _vript),
    Form("DiDeMo (segments of five seconds)", _has("times"), _didemo),
    Form("QVHighlights (windows of a clip)", _has("relevant_windows", "vid"), _windows_for_one_caption),
    Form("YouCook2 (segments of a video)", _has("annotations"), _segments),
    Form("ActivityNet Captions (spans and sentences of a video)", _has("timestamps", "sentences"), _spans_in_lists),
    Form("MSR-VTT (sentences for clips of videos)", _has("sen_id", "start_time", "end_time"), _span_a_row),
    Form("VATEX (captions of clips)", _has("encap"), _whole_video),
    Form("MiraData (clips by their frames)", _has("start_frame", "end_frame", "fps"), _mira_frames),
    Form(
        "MiraData (a clip a row)",
        lambda names, cells: "dense_caption" in names and _is_one_span(cells.get("timestamp")),
        _span_in_a_cell,
    ),
    Form(
        "Koala-36M (a span a row, in one cell)",
        lambda names, cells: _is_one_span(cells.get(_span_column(names) or "")) and not _any(names, START_COLUMNS),
        _span_in_a_cell,
    ),
    Form(
        "Panda-70M (lists of spans and captions)", lambda names, cells: _span_column(names) is not None, _spans_in_lists
    ),
    Form(
        "HowTo100M (lists of starts, ends and texts)",
        lambda names, cells: any(_is_list(cells.get(name)) for name in START_COLUMNS),
        _spans_in_lists,
    ),
    Form("InternVid (a span a row)", _has("youtubeid", "start_timestamp", "end_timestamp"), _span_a_row),
    Form("a span a row", lambda names, cells: _any(names, START_COLUMNS) and _any(names, END_COLUMNS), _span_a_row),
    Form("talks about videos", _has_video_list, _videos_of_a_row),
    Form("OpenVid-1M (captions of clips' files)", _has("video", "caption", "motion_score"), _whole_video),
    Form("VidGen-1M (captions of clips' files)", _has("vid", "caption"), _whole_clip),
    Form("WebVid (captions of whole videos)", _has("contenturl", "name"), _whole_video),
    Form("VideoFolder (captions of files)", _has("file_name"), _whole_video),
    Form(
        "captions of whole videos",
        lambda names, cells: (
            _any(names, (*CAPTION_COLUMNS, *TALK_COLUMNS)) and not _any(names, (*START_COLUMNS, *END_COLUMNS))
        ),
        _whole_video,
    ),
)
