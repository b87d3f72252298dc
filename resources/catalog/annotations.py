"""Imports annotations of released datasets: spans of videos with captions. Their videos become sources.

Once a video is stored, its annotated spans become rows of `clips` and `clip_captions`, beside the clips that this
pipeline cuts and captions.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from internvid.lists.annotation_forms import Form
from internvid.lists.annotations import Annotation, read_annotations
from internvid.lists.rows import BadItem
from resources.catalog.batching import IngestBatcher
from resources.catalog.files import Registered, register
from resources.catalog.local_videos import LocalVideos
from resources.catalog.tombstones import Tombstones
from resources.catalog.web import WebSource, new_batcher, register_web, source_id_of
from resources.incremental import attempts
from resources.incremental.attempts import Unusable
from resources.incremental.provenance import digest
from resources.lake.paths import local_path
from resources.lake.schema import ANNOTATIONS, ATTEMPTS
from resources.lake.statements import statement
from resources.lake.store import Lake
from resources.media.store import Media

STAGE = "annotations"  # in attempts: unusable rows of a list, and spans that lie outside of their video
SPANS_PER_COMMIT = 20_000
_ONLY_WITH_FILES = (
    "the list has no span for {}, which is the whole of a file: name the folder of these files by --videos"
)
_DATASET = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass
class Imported:
    """Result of importing a file.

    rows: number of its rows, bad ones included. bad: unusable rows, which are in attempts. changed: known spans with
    changed scores. left_out: spans of forgotten videos. missing: spans whose local file is not there, in attempts too.
    batches: ingest batches with new sources.
    """

    rows: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    bad: int = 0
    left_out: int = 0
    missing: int = 0
    sources_new: int = 0
    batches: set[str] = field(default_factory=set)

    def __add__(self, imported: "Imported") -> "Imported":
        summed = {name: value + vars(imported)[name] for name, value in vars(self).items() if name != "batches"}
        return Imported(**summed, batches=self.batches | imported.batches)


def attempt_id(key: str) -> str:
    return f"{STAGE}/{key}"


def import_annotations(
    lake: Lake,
    path: Path,
    dataset: str,
    run_id: str,
    on_rows: Callable[[int], object] = lambda number: None,
    *,
    mark_all: bool = False,
    videos: LocalVideos | None = None,
    media: Media | None = None,
) -> Imported:
    """Registers the videos that the file names, and adds its spans under the dataset's name.

    mark_all: writes known spans too, so that all have this run_id, which `remove_others` goes by. videos: local files:
    then spans belong to these, nothing is downloaded, and spans without a file are left out; media reads their lengths.
    Raises ValueError for an invalid dataset name, and as `read_annotations`; rows that were read before it stay.
    """
    check_dataset(dataset)
    lake.create_tables()
    file = _File(lake, path, dataset, run_id, new_batcher(lake), Tombstones(lake), mark_all, videos, media)
    imported = Imported()
    for part in _parts(read_annotations(path)):
        imported += file.take(part)
        on_rows(len(part))
    file.settle()
    return imported


@dataclass
class Preview:
    """What importing a file would read. form: how its rows are read. refused: rows that cannot be used.

    first_refused: the first of these, and why. missing: spans whose local file is not there.
    """

    form: str = "nothing"
    spans: int = 0
    refused: int = 0
    first_refused: tuple[int, str] | None = None
    missing: int = 0


def preview(
    path: Path, videos: LocalVideos | None = None, on_rows: Callable[[int], object] = lambda number: None
) -> Preview:
    """Reads the file and imports nothing. Raises as `import_annotations`."""
    seen = Preview()

    def read_as(form: Form) -> None:
        seen.form = form.name

    for part in _parts(read_annotations(path, read_as)):
        bad = [(item.row, item.why) for item in part if isinstance(item, BadItem)]
        spans = [item for item in part if isinstance(item, Annotation)]
        if videos is not None:
            spans, missing = videos.attach(spans)
            seen.missing += len(missing)
        elsewhere = [span for span in spans if span.url]
        refused = [(item.row, item.why) for item in _source_ids(elsewhere, path.parent)[1]]
        bad = sorted({row: why for row, why in [*refused, *reversed(bad)]}.items())
        seen.spans += len(spans) - len(refused)
        seen.refused += len(bad)
        seen.first_refused = seen.first_refused or next(iter(bad), None)
        on_rows(len(part))
    return seen


def check_dataset(name: str) -> None:
    """Raises ValueError for a name that cannot be part of a clip's id."""
    if _DATASET.fullmatch(name) is None:
        raise ValueError(
            f"{name!r} cannot name a dataset: use at most 64 lower-case letters, digits, points, hyphens and "
            "underscores, internvid-10m for instance"
        )


def remove_others(lake: Lake, dataset: str, run_id: str) -> int:
    """Removes the dataset's annotations that the run, with `mark_all`, has not met. Returns their number.

    The next run of their batches removes their clips.
    """
    with lake.connect([ANNOTATIONS.name]) as connection:
        parts = connection.sql(
            statement("catalog/annotations_of_other_runs"), params={"dataset": dataset, "run_id": run_id}
        ).to_arrow_reader(SPANS_PER_COMMIT)
        removed = 0
        for part in parts:
            ids = part.column("annotation_id").to_pylist()
            removed += lake.delete(ANNOTATIONS.name, ids)
            lake.delete(ATTEMPTS.name, [attempt_id(key) for key in ids])
    return removed


def _parts(chunks: Iterator[list[Annotation | BadItem]]) -> Iterator[list[Annotation | BadItem]]:
    """Yields the same items in lists of at least SPANS_PER_COMMIT; the last may be shorter."""
    waiting: list[Annotation | BadItem] = []
    for chunk in chunks:
        waiting += chunk
        if len(waiting) >= SPANS_PER_COMMIT:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


@dataclass(frozen=True)
class _Bad:
    """A span that is not imported, for a row of attempts."""

    row: int
    entry: int | None
    error_class: str
    why: str


@dataclass
class _File:
    """A list of annotations while it is imported."""

    lake: Lake
    path: Path
    dataset: str
    run_id: str
    batcher: IngestBatcher
    tombstones: Tombstones
    mark_all: bool
    videos: LocalVideos | None = None
    media: Media | None = None

    def take(self, part: Sequence[Annotation | BadItem]) -> Imported:
        """Writes a part of the file: sources first, so that every annotation has its source."""
        bad = [_Bad(item.row, item.entry, "BadRow", item.why) for item in part if isinstance(item, BadItem)]
        spans = [item for item in part if isinstance(item, Annotation)]
        missing: list[Annotation] = []
        new_files = Registered()
        if self.videos is not None and self.media is not None:
            spans, missing = self.videos.attach(spans)
            files = list(dict.fromkeys(span.url for span in spans))
            new_files = register(self.lake, self.media, files, run_id=self.run_id, batcher=self.batcher)
            why = f"no file in {self.videos.folder} is named after it"
            bad += [_Bad(span.row, None, "VideoNotFound", f"{span.url or span.clip}: {why}") for span in missing]
        unknown = [span for span in spans if span.is_whole_clip]
        bad += [_Bad(span.row, None, "UnknownFile", _ONLY_WITH_FILES.format(span.clip)) for span in unknown]
        spans = [span for span in spans if not span.is_whole_clip]
        ids, refused = _source_ids(spans, self.path.parent)
        bad += refused
        of_web = {ids[span.url]: span for span in reversed(spans) if span.url in ids and not _is_local(span.url)}
        registered = register_web(
            self.lake,
            [WebSource(span.url, seconds=span.video_seconds) for span in of_web.values()],
            found_by=self.dataset,
            run_id=self.run_id,
            batcher=self.batcher,
            tombstones=self.tombstones,
        )
        imported = Imported(
            len(part),
            missing=len(missing),
            sources_new=registered.new + new_files.new,
            batches=registered.batches | new_files.batches,
        )
        batches = self._batches(set(ids.values()))
        rows: dict[str, dict[str, Any]] = {}
        for span in spans:
            source_id = ids.get(span.url)
            if source_id in batches:
                row = self._row(span, source_id) | {"ingest_batch": batches[source_id]}
                imported.unchanged += row["annotation_id"] in rows  # the same span twice
                rows[row["annotation_id"]] = row
            elif source_id is not None and _is_local(span.url):
                why = f"{span.url} is not in the lake: register it first, by `internvid ingest`, or give --videos"
                bad.append(_Bad(span.row, None, "UnknownFile", why))
            elif source_id is not None:
                imported.left_out += 1
        self._write(list(rows.values()), imported)
        self._note(bad)
        imported.bad = len(bad) - len(missing)
        return imported

    def settle(self) -> None:
        """Removes the attempts of earlier imports of the file."""
        attempts.settle(self.lake, STAGE, f"{self._key}/", self.run_id)

    @property
    def _key(self) -> str:
        return f"{self.dataset}/{self.path.name}"

    def _batches(self, source_ids: set[str]) -> dict[str, str]:
        """Returns the ingest batch of each registered source, by source id."""
        rows = self.lake.known("sources", list(source_ids), ["ingest_batch"])
        return dict(zip(rows["source_id"].to_pylist(), rows["ingest_batch"].to_pylist(), strict=True))

    def _row(self, span: Annotation, source_id: str) -> dict[str, Any]:
        content = (span.start_seconds, span.end_seconds, span.caption)
        return {
            "annotation_id": f"{self.dataset}/{digest(source_id, *content)[:20]}",
            "dataset": self.dataset,
            "source_id": source_id,
            "start_seconds": span.start_seconds,
            "end_seconds": span.end_seconds,
            "caption": span.caption,
            "scores": json.dumps(span.scores, sort_keys=True) if span.scores else None,
            "digest": digest(*content),
            "run_id": self.run_id,
            "written_at": datetime.now(UTC),
        }

    def _write(self, rows: list[dict[str, Any]], imported: Imported) -> None:
        stored = self.lake.known(ANNOTATIONS.name, [row["annotation_id"] for row in rows], ["scores"])
        known = dict(zip(stored["annotation_id"].to_pylist(), stored["scores"].to_pylist(), strict=True))
        new = [row for row in rows if row["annotation_id"] not in known]
        changed = [row for row in rows if known.get(row["annotation_id"], row["scores"]) != row["scores"]]
        imported.new += len(new)
        imported.changed += len(changed)
        imported.unchanged += len(rows) - len(new) - len(changed)
        to_write = rows if self.mark_all else new + changed
        if to_write:
            self.lake.upsert(ANNOTATIONS.name, pa.Table.from_pylist(to_write, schema=ANNOTATIONS.arrow))

    def _note(self, bad: list[_Bad]) -> None:
        unusable = [
            Unusable(
                f"{self._key}/{item.row}" + (f".{item.entry}" if item.entry is not None else ""),
                str(self.path),
                item.error_class,
                item.why,
            )
            for item in bad
        ]
        attempts.note(self.lake, STAGE, unusable, self.run_id)


def _is_local(address: str) -> bool:
    return local_path(address) is not None


def _source_ids(spans: Sequence[Annotation], folder: Path) -> tuple[dict[str, str], list[_Bad]]:
    """Returns source_id by address, and the spans with an invalid address. folder: where relative paths start."""
    ids: dict[str, str] = {}
    bad = []
    for span in spans:
        if span.url in ids:
            continue
        on_disk = local_path(span.url)
        try:
            # A file has the id that `sources` gives it; the path is only compared, never opened.
            ids[span.url] = source_id_of(span.url) if on_disk is None else digest(_uri(on_disk, folder))[:16]
        except ValueError as error:
            bad.append(_Bad(span.row, None, "BadRow", str(error)))
    return ids, bad


def _uri(path: str, folder: Path) -> str:
    return (folder / Path(path).expanduser()).resolve().as_uri()
