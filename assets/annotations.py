"""`annotations`: spans of videos with captions, as others released them. Their videos are registered as sources; once a
video is there, `clips` and `clip_captions` have its spans beside those that were cut and captioned here.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.ingest_batches import BatchCutter
from assets.sources import sources
from assets.web_sources import WebSource, new_cutter, register_web, source_id_of
from internvid.lists.annotations import Annotation, read_annotations
from internvid.lists.rows import BadItem
from resources import attempts
from resources.attempts import Unusable
from resources.lake import Lake
from resources.refresh import digest
from resources.schema import ANNOTATIONS, ATTEMPTS
from resources.statements import statement
from resources.tombstones import Tombstones
from resources.video_file import local_path

STAGE = "annotations"  # in attempts: rows of a list that say nothing that can be used, and spans that a video has not
SPANS_PER_COMMIT = 20_000
_DATASET = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

annotations = dg.AssetSpec(
    "annotations",
    deps=[sources],
    group_name="ingest",
    kinds={"lance"},
    description="Spans of videos with captions, as datasets were released: `internvid annotations` imports them.",
)


@dataclass
class Imported:
    """What became of the spans of a file. rows: how many it has, also those that are bad: they stand in attempts.
    changed: known ones whose scores are others now. left_out: of videos that were forgotten. batches: new ones.
    """

    rows: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    bad: int = 0
    left_out: int = 0
    sources_new: int = 0
    batches: set[str] = field(default_factory=set)

    def __add__(self, other: "Imported") -> "Imported":
        summed = {name: value + vars(other)[name] for name, value in vars(self).items() if name != "batches"}
        return Imported(**summed, batches=self.batches | other.batches)


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
) -> Imported:
    """Registers the videos that the file names, and adds its spans under the dataset's name.

    mark_all: writes also what is there already, so that it carries run_id: what `remove_others` then goes by.
    Raises ValueError for a name that no dataset can have, and as `read_annotations`: what was read before stays.
    """
    check_dataset(dataset)
    lake.create_tables()
    file = _File(lake, path, dataset, run_id, new_cutter(lake), Tombstones(lake), mark_all)
    imported = Imported()
    for found in _parts(read_annotations(path)):
        imported += file.take(found)
        on_rows(len(found))
    file.settle()
    return imported


def check_dataset(name: str) -> None:
    """Raises ValueError for a name that could not stand in a clip's id."""
    if _DATASET.fullmatch(name) is None:
        raise ValueError(
            f"{name!r} cannot name a dataset: write it in small letters, digits, points, hyphens and underscores, "
            "64 at most, internvid-10m for instance"
        )


def remove_others(lake: Lake, dataset: str, run_id: str) -> int:
    """Removes the dataset's annotations that the run, with `mark_all`, has not met; their clips go with the next run of
    their batches. Returns how many there were.
    """
    with lake.connect([ANNOTATIONS.name]) as connection:
        found = connection.sql(
            statement("operations/annotations_of_other_runs"), params={"dataset": dataset, "run_id": run_id}
        ).to_arrow_reader(SPANS_PER_COMMIT)
        removed = 0
        for part in found:
            ids = part.column("annotation_id").to_pylist()
            removed += lake.delete(ANNOTATIONS.name, ids)
            lake.delete(ATTEMPTS.name, [attempt_id(key) for key in ids])
    return removed


def _parts(chunks: Iterator[list[Annotation | BadItem]]) -> Iterator[list[Annotation | BadItem]]:
    """The same in lists of at least SPANS_PER_COMMIT, but for the last."""
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
    """A span that is not imported, as attempts tells of it."""

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
    cutter: BatchCutter
    tombstones: Tombstones
    mark_all: bool

    def take(self, found: Sequence[Annotation | BadItem]) -> Imported:
        """Writes a part of the file: sources first, so that no annotation is of a source that is not there."""
        bad = [_Bad(item.row, item.entry, "BadRow", item.why) for item in found if isinstance(item, BadItem)]
        spans = [item for item in found if isinstance(item, Annotation)]
        ids, refused = _source_ids(spans)
        bad += refused
        of_web = {ids[span.url]: span for span in reversed(spans) if span.url in ids and not _is_local(span.url)}
        registered = register_web(
            self.lake,
            [WebSource(span.url, seconds=span.video_seconds) for span in of_web.values()],
            found_by=self.dataset,
            run_id=self.run_id,
            cutter=self.cutter,
            tombstones=self.tombstones,
        )
        imported = Imported(len(found), sources_new=registered.new, batches=registered.batches)
        batches = self._batches(set(ids.values()))
        rows: dict[str, dict[str, Any]] = {}
        for span in spans:
            source_id = ids.get(span.url)
            if source_id in batches:
                row = self._row(span, source_id) | {"ingest_batch": batches[source_id]}
                imported.unchanged += row["annotation_id"] in rows  # said twice
                rows[row["annotation_id"]] = row
            elif source_id is not None and _is_local(span.url):
                why = f"{span.url} is not in the lake: take it in first, by `internvid ingest`"
                bad.append(_Bad(span.row, None, "UnknownFile", why))
            elif source_id is not None:
                imported.left_out += 1
        self._write(list(rows.values()), imported)
        self._note(bad)
        imported.bad = len(bad)
        return imported

    def settle(self) -> None:
        """Lets go of what earlier imports of the file said of its rows."""
        attempts.settle(self.lake, STAGE, f"{self._key}/", self.run_id)

    @property
    def _key(self) -> str:
        return f"{self.dataset}/{self.path.name}"

    def _batches(self, source_ids: set[str]) -> dict[str, str]:
        """Of those that are registered, by source."""
        found = self.lake.known("sources", list(source_ids), ["ingest_batch"])
        return dict(zip(found["source_id"].to_pylist(), found["ingest_batch"].to_pylist(), strict=True))

    def _row(self, span: Annotation, source_id: str) -> dict[str, Any]:
        said = (span.start_seconds, span.end_seconds, span.caption)
        return {
            "annotation_id": f"{self.dataset}/{digest(source_id, *said)[:20]}",
            "dataset": self.dataset,
            "source_id": source_id,
            "start_seconds": span.start_seconds,
            "end_seconds": span.end_seconds,
            "caption": span.caption,
            "scores": json.dumps(span.scores, sort_keys=True) if span.scores else None,
            "digest": digest(*said),
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


def _source_ids(spans: Sequence[Annotation]) -> tuple[dict[str, str], list[_Bad]]:
    """Address -> source_id, and the spans whose address is none."""
    ids: dict[str, str] = {}
    bad = []
    for span in spans:
        if span.url in ids:
            continue
        on_disk = local_path(span.url)
        try:
            # A file's, as `sources` has it; only compared with those that are registered, never opened.
            ids[span.url] = source_id_of(span.url) if on_disk is None else digest(_uri(on_disk))[:16]
        except ValueError as error:
            bad.append(_Bad(span.row, None, "BadRow", str(error)))
    return ids, bad


def _uri(path: str) -> str:
    return Path(path).expanduser().resolve().as_uri()
