"""Writes the card of an exported dataset: README.md, with the YAML at its beginning that hubs and `datasets` read.

All numbers are counted from the clips that are in it, one by one: memory does not grow with them.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import yaml

CARD = "README.md"
NOT_STATED = "not stated"
MAX_LISTED = 20
SIZES = (("n<1K", 10**3), ("1K<n<10K", 10**4), ("10K<n<100K", 10**5), ("100K<n<1M", 10**6), ("1M<n<10M", 10**7))


class Facts:
    """What is counted of the clips. They are added in order, the clips of a video after one another.

    splits: clips by split. sites, licences: videos. models: clips by (what for, model, version).
    """

    def __init__(self) -> None:
        self.clips = self.videos = self.bytes = 0
        self.seconds = 0.0
        self.words = self.captions_with_words = 0
        self.splits: Counter[str] = Counter()
        self.sites: Counter[str] = Counter()
        self.licences: Counter[str] = Counter()
        self.languages: Counter[str] = Counter()
        self.models: Counter[tuple[str, str, str | None]] = Counter()
        self.flags: Counter[str] = Counter()
        self.scored: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.imported = self.truncated = self.transcribed = self.without_sound = 0
        self._video: str | None = None

    def add(self, row: Mapping[str, Any]) -> None:
        """Counts a clip. row: a line of the export's index."""
        self.clips += 1
        self.splits[row["split"]] += 1
        self.seconds += row["end_seconds"] - row["start_seconds"]
        self.bytes += row["clip_bytes"] or 0
        self.flags.update(row["flags"] or [])
        self.imported += bool(row["is_imported"])
        self.truncated += row["caption_status"] == "truncated"
        if row["caption_verdict"]:
            self.verdicts[row["caption_verdict"]] += 1
        self.without_sound += row["file"] is not None and row["audio_codec"] is None
        if row["word_count"] is not None:
            self.words += row["word_count"]
            self.captions_with_words += 1
        if row["caption_model"]:
            self.models["caption", row["caption_model"], row["caption_version"]] += 1
        if row["transcript"]:
            self.transcribed += 1
            self.languages[row["transcript_language"] or "unknown"] += 1
            self.models["transcript", row["transcript_model"] or row["transcript_source"] or "unknown", None] += 1
        for score in row["scores"]:
            self.scored[score] += 1
            self.models[f"score {score}", row["score_models"].get(score) or "unknown", None] += 1
        if row["video_id"] != self._video:
            self._video = row["video_id"]
            self.videos += 1
            self.sites[_site(row["source"])] += 1
            self.licences[row["licence"] or NOT_STATED] += 1


def dataset_card(
    facts: Facts,
    *,
    name: str,
    form: str,
    configurations: Sequence[Mapping[str, Any]],
    plan: Mapping[str, Any],
    failed: int,
    forgotten: int,
) -> str:
    """Returns the card as text.

    configurations: for each split the pattern of its files, for `datasets`. plan: of the manifest. failed: clips that
    could not be cut. forgotten: clips that were taken out again.
    """
    return (
        f"---\n{_front_matter(facts, name, configurations, plan)}---\n\n"
        + "\n\n".join(
            (
                f"# {name}",
                f"{facts.clips:,} clips of {facts.videos:,} videos with captions, {facts.seconds / 3600:,.2f} hours. "
                f"Exported by the InternVid lakehouse in the form `{form}`.",
                _sizes(facts, plan),
                _list("Sources", "videos", facts.sites),
                _list("Licences, as the sources state them", "videos", facts.licences)
                + "\n\nWhat may be done with a clip is up to the licence of its video, which each row names.",
                _models(facts),
                _limits(facts, plan, failed, forgotten),
                _rebuilding(plan, form),
            )
        )
        + "\n"
    )


def _front_matter(facts: Facts, name: str, configurations: Sequence[Mapping[str, Any]], plan: Mapping[str, Any]) -> str:
    fields: dict[str, Any] = {
        "pretty_name": name,
        "license": "other",
        "license_name": "by-video",
        "license_link": CARD,
        "task_categories": ["text-to-video", "video-text-to-text"],
        "size_categories": [next((size for size, below in SIZES if facts.clips < below), "10M<n<100M")],
        "tags": ["video", "captions", "internvid"],
    }
    if configurations:
        config = re.sub(r"\W+", "_", plan["subset"] or "default")
        fields["configs"] = [{"config_name": config, "default": True, "data_files": [*map(dict, configurations)]}]
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _sizes(facts: Facts, plan: Mapping[str, Any]) -> str:
    rows = [
        *(("clips in " + split, f"{clips:,}") for split, clips in facts.splits.items()),
        ("hours", f"{facts.seconds / 3600:,.3f}"),
        ("mean seconds of a clip", f"{facts.seconds / max(1, facts.clips):,.1f}"),
        ("mean words of a caption", f"{facts.words / max(1, facts.captions_with_words):,.1f}"),
        ("clips with speech as text", f"{facts.transcribed:,}"),
        ("clip files", {"exact": "encoded again, to the frame", "copy": "copied from a key frame on"}.get(
            plan["clips"], "none: spans of the sources"
        )),
        ("bytes of the clips", f"{facts.bytes:,}"),
    ]  # fmt: skip
    return _table("Sizes", ("what", "value"), rows)


def _models(facts: Facts) -> str:
    rows = [
        (role, model, version or "", f"{clips:,}")
        for (role, model, version), clips in sorted(facts.models.items(), key=lambda item: (item[0][0], -item[1]))
    ]
    return _table("Models", ("for", "model", "version", "clips"), rows)


def _limits(facts: Facts, plan: Mapping[str, Any], failed: int, forgotten: int) -> str:
    total = max(1, facts.clips)
    measured = ", ".join(f"{score} {clips / total:.0%}" for score, clips in sorted(facts.scored.items())) or "none"
    stated = sum(videos for licence, videos in facts.licences.items() if licence != NOT_STATED)
    limits = [
        f"Captions were written by models; {facts.imported / total:.0%} came with spans that others released. "
        f"{_checked(facts)}",
        f"Checked by a score, share of the clips: {measured}. A score is a model's opinion too.",
        f"{facts.truncated / total:.1%} of the captions were cut off at the model's limit.",
        f"A licence is stated for {stated / max(1, facts.videos):.0%} of the videos.",
        f"{failed:,} selected clips could not be cut and are not in it; the index names each with the reason.",
    ]
    if forgotten:
        limits.append(f"{forgotten:,} clips were taken out later, because their videos were forgotten.")
    if facts.flags:
        flags = ", ".join(f"{flag} {clips:,}" for flag, clips in sorted(facts.flags.items()))
        limits.append(f"Clips with a flag: {flags}.")
    if plan["clips"] == "copy":
        limits.append("A copied file begins before its clip: `file_start_seconds` says where.")
    return "## Known limits\n\n" + "\n".join(f"* {limit}" for limit in limits)


def _checked(facts: Facts) -> str:
    if not facts.verdicts:
        return "No person has checked any of them here."
    verdicts = ", ".join(f"{number:,} {verdict}" for verdict, number in facts.verdicts.most_common())
    return f"People have judged the captions of {facts.verdicts.total():,} clips here: {verdicts}."


def _rebuilding(plan: Mapping[str, Any], form: str) -> str:
    options = [f"--form {form}", f"--clips {plan['clips']}"]
    if plan["max_height"]:
        options.append(f"--height {plan['max_height']}")
    if plan["fps"]:
        options.append(f"--fps {plan['fps']:g}")
    selecting = "internvid snapshot list"
    if plan["subset"]:
        values = " ".join(f"--set {shlex.quote(f'{name}={_value(value)}')}" for name, value in plan["values"].items())
        selecting = f"internvid subset make {plan['subset']} {values}".rstrip()
        options.append(f"--subset {plan['subset']}")
    commands = ("internvid ingest VIDEOS", selecting, f"internvid export OUT {' '.join(options)}")
    versions = ", ".join(f"{package} {version}" for package, version in plan["software"].items())
    return (
        "## How to rebuild it\n\n```\n" + "\n".join(commands) + "\n```\n\n"
        f"It was made from the snapshot `{plan['snapshot']}` with {versions}. `manifest.json` has the SQL of the "
        "selection, and the size and sha256 of every file: `internvid verify OUT` compares them."
    )


def _value(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _list(title: str, of: str, counts: Counter[str]) -> str:
    rows = [(name, f"{number:,}") for name, number in counts.most_common(MAX_LISTED)]
    rest = sum(counts.values()) - sum(number for _, number in counts.most_common(MAX_LISTED))
    if rest:
        rows.append((f"{len(counts) - MAX_LISTED:,} more", f"{rest:,}"))
    return _table(title, ("", of), rows)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *([_cell(value) for value in row] for row in rows)]
    return f"## {title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _site(source: str | None) -> str:
    parts = urlsplit(source or "")
    return "files" if parts.scheme in ("", "file") else (parts.hostname or "unknown").removeprefix("www.")
