"""Writes the report: one HTML file that a browser opens from disk, with every picture, plot and style inside it.

This module and `report.html` decide the content, its order and its words. The numbers come from the statistics mart
(`sql/statistics/*.sql`), plots from `charts`, clips from `shown_clips`.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import jinja2
from markupsafe import Markup

from internvid.captions.words import part_of
from internvid.report.charts import Bar, Column, Line, bar_chart, bar_picture, histogram, line_chart
from internvid.report.pages import page_environment
from internvid.report.shown_clips import ShownClip, for_a_page
from internvid.report.whole_file import whole_file
from internvid.report.word_cloud import WORDS, CloudWord, stopwords_of, word_cloud
from internvid.text.languages import NAMES

Row = Mapping[str, Any]

_WORDS_SHOWN = 15
_FAILURES_SHOWN = 100
_VIDEOS_SHOWN = 10
_DAYS_SHOWN, _LANGUAGES_SHOWN, _CATEGORIES_SHOWN = 15, 12, 16
_SECONDS_SHOWN, _CAPTION_WORDS_SHOWN = 60, 60  # of histograms; what is beyond is in their notes
_BARS_OF_A_PICTURE = 10
_NOTHING = "–"
_PAPER_SCORES = {
    "aesthetics": "In the paper 75 % of clips have 4 to 6, by LAION’s predictor.",
    "video_text_similarity": "In the paper more than 80 % of clips have 0.3 to 0.4, by UMT.",
}


@dataclass(frozen=True)
class StageRow:
    """Numbers of a stage's inputs by state. seconds: wall time in all runs, None if unknown."""

    stage: str
    done: int
    failed: int
    skipped: int
    waiting: int
    pending: int
    seconds: float | None

    @property
    def inputs(self) -> int:
        return self.done + self.failed + self.skipped + self.waiting + self.pending


@dataclass(frozen=True)
class Chart:
    """A plot with its title and explanation. svg: None while there is nothing to count.

    rows: what is drawn, in order: label or start of a step, and the printed number. width: of a step; None of bars.
    """

    title: str
    note: str
    svg: Markup | None
    rows: tuple[tuple[str | float, str], ...] = ()
    width: float | None = None


def write_report(
    path: Path,
    statistics: Path,
    contact_sheet: Sequence[ShownClip],
    *,
    title: str,
    lake: str,
    made_at: datetime,
    stages: Sequence[StageRow] = (),
) -> Path:
    """Writes the report to `path` atomically; returns `path`.

    statistics: the DuckDB file with one table for each `sql/statistics/*.sql`, opened read-only. If a table is missing,
        its section is left out; a table that this module does not know is printed as it is, at the end.
    contact_sheet: clips to show, in this order, each with up to four of its frames (evenly spread if it has more).
    lake: name or address of the lake. made_at: printed with its time zone.

    Captions, file names and error texts are untrusted: they are escaped, and the page's policy forbids scripts and
    outside resources.
    Raises duckdb.Error if `statistics` cannot be read.
    """
    tables, titles = _read_statistics(statistics)
    used = _Used(tables)
    page = _page_template().render(
        title=title,
        lake=lake,
        made_at=f"{made_at:%d %B %Y, %H:%M} {made_at.tzname() or ''}".strip(),
        headline=_headline(used),
        caption_authors=_caption_authors(used),
        comparison=_comparison(used),
        unknown_durations=_first(used["table_1"]).get("videos_of_unknown_duration") or 0,
        duration_charts=_duration_charts(used),
        language_charts=_language_charts(used),
        score_charts=_score_charts(used),
        word_charts=_word_charts(used),
        words_note=_words_note(used),
        clouds=_clouds(used),
        growth_charts=_growth_charts(used),
        waterfalls=_waterfalls(used),
        costs_per_clip=used["costs_per_kept_clip"],
        judged=used["judged_precision"],
        comparisons=used["judged_comparisons"],
        picture_charts=_picture_charts(used),
        file_charts=_file_charts(used),
        largest_videos=used["videos_by_clips"][:_VIDEOS_SHOWN],
        stages=stages,
        stages_have_times=any(stage.seconds is not None for stage in stages),
        attempts=used["attempts_by_stage"],
        knows_failures="failures" in tables,
        failures=used["failures"][:_FAILURES_SHOWN],
        failures_left_out=_failures_left_out(used),
        costs=used["costs_by_stage"],
        table_sizes=used["table_sizes"],
        clips=[for_a_page(clip) for clip in contact_sheet],
        more=[(titles[name], tables[name]) for name in tables if name not in used.names],
    )
    with whole_file(path) as file:
        file.write(page)
    return path


def read_statistics(path: Path) -> dict[str, list[Row]]:
    """Returns the rows of every statistic in a DuckDB file, by name. Raises duckdb.Error if it cannot be read."""
    return _read_statistics(path)[0]


def headline(statistics: Mapping[str, list[Row]]) -> list[tuple[str, str]]:
    """Returns the figures that stand at the top of the report, each with its words."""
    return _headline(_Used(statistics))


def section_charts(statistics: Mapping[str, list[Row]], section: str) -> list[Chart]:
    """Returns the plots of one of SECTIONS."""
    return SECTIONS[section][1](_Used(statistics))


def plots_markdown(tables: Mapping[str, list[Row]]) -> str:
    """Returns Markdown with the paper's figures over a lake as pictures, for the page of an asset: some 60 KB.

    tables: rows of the statistics, by name.
    """
    figures = (
        ("figure_3a_languages", "language", "Spoken languages (3a)"),
        ("figure_3b_video_durations", "bucket", "Video durations (3b)"),
        ("figure_3c_categories", "category", "Categories (3c)"),
        ("figure_4a_clip_durations", "bucket", "Clip durations (4a)"),
        ("figure_4b_caption_words", "bucket", "Words of a caption (4b)"),
        ("resolutions", "resolution", "Resolutions"),
    )
    pictures = []
    for name, label, title in figures:
        if bars := _share_bars(tables[name][:_BARS_OF_A_PICTURE], label):
            png = b64encode(bar_picture(bars, title=title)).decode("ascii")
            pictures.append(f"![{title}](data:image/png;base64,{png})")
    return "\n\n".join(pictures) or "*Nothing to count yet.*"


class _Used(dict[str, list[Row]]):
    """The mart's tables by name, empty if missing; records which names were read."""

    def __init__(self, tables: Mapping[str, list[Row]]):
        super().__init__(tables)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> list[Row]:
        self.names.add(name)
        return self.get(name, [])


def _read_statistics(path: Path) -> tuple[dict[str, list[Row]], dict[str, str]]:
    """Returns the rows of every table, and its title: its comment in the database, or its name in words."""
    with duckdb.connect(str(path), read_only=True) as database:
        database.execute("set timezone = 'UTC'")
        names_and_comments = database.execute(
            "select table_name, comment from duckdb_tables() where schema_name = 'main' order by table_name"
        ).fetchall()
        tables = {name: database.table(f'"{name}"').to_arrow_table().to_pylist() for name, _ in names_and_comments}
    return tables, {name: comment or name.replace("_", " ").capitalize() for name, comment in names_and_comments}


def _headline(used: _Used) -> list[tuple[str, str]]:
    row = _first(used["table_1"])
    if not row:
        return []
    words = _first(used["actionness"])
    failed = sum(attempt["inputs"] for attempt in used["attempts_by_stage"] if attempt["outcome"] == "failed")
    figures = [
        (count(row["videos"]), "videos"),
        (count(row["clips"]), "clips"),
        (number(row["video_hours"]), "hours of video"),
        (number(row["mean_clip_seconds"]), "seconds a clip, mean"),
        (number(row["mean_caption_words"]), "words a caption, mean"),
    ]
    if words:
        figures.append((count(words["unique_verbs"]), "different verbs"))
    figures.append((count(failed), "failed inputs"))
    return figures


def _caption_authors(used: _Used) -> list[str]:
    """Returns a sentence for each kind of caption: the models that wrote them, and how many each."""
    subjects = {
        "clip": "Clip captions",
        "coarse": "Captions of middle frames (coarse)",
        "fine": "Captions of frames each second (fine)",
    }
    rows = used["captions_by_model"]
    kinds = [kind for kind in subjects if any(row["kind"] == kind for row in rows)]
    kinds += sorted({row["kind"] for row in rows} - set(kinds))
    return [
        f"{subjects.get(kind, f'Captions of kind {kind}')} were written by "
        + ", ".join(f"{row['model']} ({count(row['captions'])})" for row in rows if row["kind"] == kind)
        + "."
        for kind in kinds
    ]


def _comparison(used: _Used) -> list[dict[str, str | bool]]:
    """Returns the rows of Table 1: this lake, then the published datasets."""
    row = _first(used["table_1"])
    if not row:
        return []
    peers = used["table_1_published"]
    here: dict[str, str | bool] = {
        "is_here": True,
        "dataset": "this lake",
        "captions": "generated",
        "videos": count(row["videos"]),
        "clips": count(row["clips"]),
        "clip_seconds": number(row["mean_clip_seconds_as_in_paper"]),
        "caption_words": number(row["mean_caption_words"]),
        "video_hours": number(row["video_hours"]),
        "resolution": f"≥720p ({share(row['share_720p_or_more'])})",
    }
    return [here] + [
        {
            "is_here": False,
            "dataset": peer["dataset"],
            "captions": peer["captions"],
            "videos": count(peer["videos"]),
            "clips": count(peer["clips"]),
            "clip_seconds": number(peer["clip_seconds"]),
            "caption_words": number(peer["caption_words"]),
            "video_hours": number(peer["video_hours"]),
            "resolution": peer["resolution"] or _NOTHING,
        }
        for peer in peers
    ]


def _duration_charts(used: _Used) -> list[Chart]:
    return [
        _shares(
            used["figure_3b_video_durations"],
            "Video durations",
            "Figure 3b: share of videos. The paper states three of its five shares.",
            label="bucket",
        ),
        _shares(
            used["figure_4a_clip_durations"],
            "Clip durations",
            "Figure 4a: share of clips."
            + _up_to(used["figure_4a_clip_durations"], "4–10 s", "up to 10 s")
            + " The paper prints 36, 26, 23, 8 and 7 % without saying which is which.",
            label="bucket",
        ),
        _shares(
            used["figure_4b_caption_words"],
            "Words of a caption",
            "Figure 4b: share of clip captions. Above 20 words the paper has 11 % in all.",
            label="bucket",
        ),
        _histogram(
            used["clip_duration_histogram"],
            "Clip durations by the second",
            "Share of clips",
            start="from_seconds",
            end=_SECONDS_SHOWN,
            unit="seconds",
        ),
        _histogram(
            used["caption_length_histogram"],
            "Caption lengths by the word",
            "Share of clip captions",
            start="words",
            end=_CAPTION_WORDS_SHOWN,
            unit="words",
        ),
    ]


def _language_charts(used: _Used) -> list[Chart]:
    return [
        _shares(
            used["figure_3a_languages"][:_LANGUAGES_SHOWN],
            "Spoken languages",
            "Figure 3a: share of videos, by the language of most of their clips. Of the paper’s shares it is not known "
            "which belongs to which language.",
            label="language",
        ),
        _shares(
            used["figure_3c_categories"][:_CATEGORIES_SHOWN],
            "Categories",
            "Figure 3c: share of videos, by the categories that their sites state.",
            label="category",
        ),
    ]


def _score_charts(used: _Used) -> list[Chart]:
    """Returns a histogram for each score and model."""
    kinds = dict.fromkeys((row["score"], row["model"]) for row in used["figure_4c_scores"])
    return [
        _histogram(
            [row for row in used["figure_4c_scores"] if (row["score"], row["model"]) == kind],
            kind[0].replace("_", " ").capitalize(),
            f"Figure 4c: share of clips with a score by {kind[1]}. {_PAPER_SCORES.get(kind[0], '')}".strip(),
            start="from_value",
            step=0.1,
            unit=kind[0].replace("_", " "),
        )
        for kind in kinds
    ]


def _word_charts(used: _Used) -> list[Chart]:
    curve = [row for row in used["rarefaction"] if row["unique_verbs"] > 0 and row["unique_nouns"] > 0]
    return [
        _shares(used["top_verbs"][:_WORDS_SHOWN], "Verbs", "Share of clip captions that hold the verb.", label="verb"),
        _shares(used["top_nouns"][:_WORDS_SHOWN], "Nouns", "Share of clip captions that hold the noun.", label="noun"),
        _curve(curve),
        _shares(
            [row for row in used["demographic_words"] if row["captions"]][:_WORDS_SHOWN],
            "Ages, genders, origins",
            "Share of clip captions that hold the word, as the model wrote it.",
            label="word",
        ),
    ]


def _curve(rows: Sequence[Row]) -> Chart:
    title = "Different words"
    note = "To expect in captions drawn at random: compare lakes of different sizes at the same number of captions."
    if not rows:
        return Chart(title, note, None)
    last = rows[-1]
    description = (
        f"{title}: {number(last['unique_verbs'])} verbs and {number(last['unique_nouns'])} nouns in "
        f"{count(last['captions'])} captions"
    )
    lines = [
        Line("nouns", [(row["captions"], row["unique_nouns"]) for row in rows]),
        Line("verbs", [(row["captions"], row["unique_verbs"]) for row in rows]),
    ]
    return Chart(title, note, line_chart(lines, x_label="captions", description=description))


def _clouds(used: _Used) -> list[Chart]:
    """Returns the word clouds: of captions, and of the speech in each language."""
    of_captions = _worth_showing(
        [CloudWord(row["word"], row["captions"], row["part"]) for row in used["figure_15_caption_words"]], "en"
    )
    of_captions = [replace(word, kind=word.kind or part_of(word.word)) for word in of_captions[:WORDS]]
    clouds = [_cloud("Words of captions", "Figure 15: nouns in blue, verbs in green.", of_captions)]
    for language in dict.fromkeys(row["language"] for row in used["figure_16_spoken_words"]):
        spoken_words = [
            CloudWord(row["word"], row["clips"])
            for row in used["figure_16_spoken_words"]
            if row["language"] == language
        ]
        name = NAMES.get(language, language)
        shown = _worth_showing(spoken_words, language)
        clouds.append(_cloud(f"Speech in {name}", "Figure 16: words of the speech.", shown))
    return clouds


def _worth_showing(words: Sequence[CloudWord], language: str) -> list[CloudWord]:
    """Returns the words that say something: without those like the and of, numbers, and single letters."""
    without = stopwords_of(language)
    return [word for word in words if word.word not in without and len(word.word) > 1 and not word.word.isdigit()]


def _cloud(title: str, note: str, words: Sequence[CloudWord]) -> Chart:
    if not words:
        return Chart(title, note, None)
    first = ", ".join(f"{word.word} ({count(word.count)})" for word in words[:_WORDS_SHOWN])
    return Chart(title, note, word_cloud(words, description=f"{title}: {first}"))


def _growth_charts(used: _Used) -> list[Chart]:
    days = used["growth"][-_DAYS_SHOWN:]
    max_clips = max((row["clips"] for row in days), default=0)
    bars = (
        [Bar(label=f"{row['day']:%Y-%m-%d}", share=row["clips"] / max_clips, text=count(row["clips"])) for row in days]
        if max_clips
        else []
    )
    months = [row for row in used["link_rot"] if row["reason"] == "available"][:_DAYS_SHOWN]
    available = [
        Bar(label=f"month {row['months_since_first_seen']}", share=row["share"], text=share(row["share"]))
        for row in months
    ]
    return [
        _bars("Clips by day", "By the day on which their source was first seen; the latest days.", bars),
        _bars("Links that work", "Share of web sources that were available, by months since first seen.", available),
    ]


def _waterfalls(used: _Used) -> list[Chart]:
    """Returns a chart for each subset: the clips that each of its conditions left."""
    rows = used["subset_waterfalls"]
    return [
        _bars(
            f"Subset {subset}",
            f"Clips left after each condition, of {snapshot}.",
            [
                Bar(label=row["condition"], share=row["share"] or 0, text=count(row["clips_left"]))
                for row in rows
                if row["subset"] == subset
            ],
        )
        for subset, snapshot in dict.fromkeys((row["subset"], row["snapshot"]) for row in rows)
    ]


def _bars(title: str, note: str, bars: Sequence[Bar]) -> Chart:
    if not bars:
        return Chart(title, note, None)
    in_words = "; ".join(f"{bar.label}: {bar.text}" for bar in bars)
    rows = tuple((bar.label, bar.text) for bar in bars)
    return Chart(title, note, bar_chart(bars, description=f"{title}: {in_words}"), rows)


def _histogram(
    rows: Sequence[Row], title: str, note: str, *, start: str, unit: str, step: float = 1, end: float | None = None
) -> Chart:
    """Returns a histogram of rows with a `share`. end: last step that is drawn; the note has the share beyond it."""
    drawn = [row for row in rows if end is None or row[start] < end]
    if not drawn:
        return Chart(title, note, None)
    beyond = sum(row["share"] for row in rows) - sum(row["share"] for row in drawn)
    if end is not None:
        note = f"{note}; from {end:g} {unit} on: {share(max(0.0, round(beyond, 9)))}."
    peak = max(drawn, key=lambda row: row["share"])
    description = f"{title}: most at {number(peak[start])} {unit}, {share(peak['share'])}"
    columns = [Column(row[start], row["share"]) for row in drawn]
    printed = tuple((row[start], share(row["share"])) for row in drawn)
    svg = histogram(columns, step=step, unit=unit, description=description)
    return Chart(title, note, svg, printed, step)


def _words_note(used: _Used) -> str:
    row = _first(used["actionness"])
    if not row or not row["captions"]:
        return ""
    return (
        f"{count(row['unique_verbs'])} different verbs and {count(row['unique_nouns'])} different nouns in "
        f"{count(row['captions'])} captions; {number(row['verbs_per_caption'])} verbs and "
        f"{number(row['nouns_per_caption'])} nouns a caption. InternVid published {count(row['paper_unique_verbs'])} "
        f"different verbs, and {count(row['paper_unique_verbs_webvid10m'])} for WebVid10M; the number grows with the "
        "number of captions."
    )


def _picture_charts(used: _Used) -> list[Chart]:
    return [
        _shares(used["motion"], "Motion", "Share of clips, by the mean change of luma a second.", label="bucket"),
        _shares(used["camera"], "Camera", "Share of clips, by the camera's largest movement.", label="camera"),
        _shares(used["boundaries"], "Why clips begin", "Share of clips, by the cut before them.", label="boundary"),
        _shares(used["clip_flags"], "Flags", "Share of clips; a clip may carry several.", label="flag"),
    ]


def _file_charts(used: _Used) -> list[Chart]:
    def codecs_of(kind: str) -> list[Row]:
        return [row for row in used["codecs"] if row["kind"] == kind][:8]

    return [
        _shares(used["resolutions"], "Resolutions", "Share of videos, as YouTube would name them.", label="resolution"),
        _shares(codecs_of("video"), "Video codecs", "Share of videos.", label="name"),
        _shares(codecs_of("audio"), "Audio codecs", "Share of videos.", label="name"),
        _shares(codecs_of("container"), "Containers", "Share of videos, by FFmpeg's name of the format.", label="name"),
    ]


def _shares(rows: Sequence[Row], title: str, note: str, *, label: str) -> Chart:
    """Returns a chart of rows with a `share` and optionally a `paper_share`; an empty one while every share is null."""
    return _bars(title, note, _share_bars(rows, label))


def _share_bars(rows: Sequence[Row], label: str) -> list[Bar]:
    return [
        Bar(
            label=str(row[label]),
            share=row["share"],
            text=share(row["share"]),
            published=row.get("paper_share"),
            published_text=share(row.get("paper_share")),
        )
        for row in rows
        if row["share"] is not None
    ]


def _up_to(rows: Sequence[Row], bucket: str, words: str) -> str:
    """Returns a sentence on a cumulative share: ' Up to 10 s: 91 % here, 85 % in the paper.'"""
    for row in rows:
        if row["bucket"] == bucket and row["share_up_to_here"] is not None:
            here, paper = share(row["share_up_to_here"]), share(row["paper_share_up_to_here"])
            return f" {words.capitalize()}: {here} here, {paper} in the paper."
    return ""


def _failures_left_out(used: _Used) -> int:
    failed = sum(row["inputs"] for row in used["attempts_by_stage"] if row["outcome"] == "failed")
    return max(0, failed - min(len(used["failures"]), _FAILURES_SHOWN))


def _first(rows: Sequence[Row]) -> Row:
    return rows[0] if rows else {}


def count(value: int | None) -> str:
    """Formats an integer: 1,234,567."""
    return _NOTHING if value is None else f"{value:,}"


def number(value: float | None) -> str:
    """Formats a number with thousands separators: two decimals below 1, one below 100: 0.04, 11.7, 760,300."""
    if value is None:
        return _NOTHING
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 1 else 2
    return f"{value:,.{decimals}f}"


def small(value: float | None) -> str:
    """Formats a number that may be far below 1, to two digits: 0.0042."""
    return _NOTHING if value is None else number(value) if value >= 1 else f"{value:.2g}"


def share(value: float | None) -> str:
    """Formats a share of 0 to 1 in per cent; only exactly 0 and 1 read as 0 % and 100 %."""
    if value is None:
        return _NOTHING
    if 0 < value < 0.001:
        return "<0.1 %"
    if 0.999 < value < 1:
        return ">99.9 %"
    return f"{100 * value:.1f}".removesuffix(".0") + " %"


def took(seconds: float | None) -> str:
    """Formats a duration: 3.4 s, 12 min 5 s, 3 h 7 min."""
    if seconds is None:
        return _NOTHING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def cell(value: Any) -> str:
    """Formats any value of a table that this module does not know."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: _NOTHING}[value]
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return number(value)
    return str(value)


# Name -> title and plots, for pages that show the report's plots in parts.
SECTIONS: dict[str, tuple[str, Callable[[_Used], list[Chart]]]] = {
    "durations": ("Durations and lengths", _duration_charts),
    "languages": ("Languages and categories", _language_charts),
    "scores": ("Scores", _score_charts),
    "words": ("Words", _word_charts),
    "clouds": ("Word clouds", _clouds),
    "picture": ("Motion and cuts", _picture_charts),
    "files": ("Files", _file_charts),
    "growth": ("Growth", _growth_charts),
    "subsets": ("Subsets", _waterfalls),
}


def _page_template() -> jinja2.Template:
    environment = page_environment()
    filters: list[Callable[..., str]] = [count, number, small, share, took, cell]
    environment.filters.update({f"as_{function.__name__}": function for function in filters})
    return environment.get_template("report.html")
