"""An index of all clips by what they are filtered by: columns of numbers in files, in which any filters are counted in
milliseconds.

Each file of `sql/explorer/facets/` is a facet (words: a language, a subset), each of `sql/explorer/measures/` gives
measures (numbers: seconds, scores). They are read once from a view of the lake, in batches, into files that are mapped
into memory; the system keeps of them what is used. Counts of a facet are over the clips that all other filters leave:
they say what choosing a value would give.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from resources.explorer.spoken_words import SpokenWords
from resources.explorer.view import LakeView, LakeViews
from resources.lake.statements import FOLDER, Header, parsed_header, statement, statements_in
from resources.lake.store import tables_in
from resources.lake.temporary_folders import temporary_folder

if TYPE_CHECKING:
    import duckdb

_LOGGER = logging.getLogger(__name__)

SHARE_OF_TIME = 5.0  # times what an index took, no further one is begun
BUILD_MEMORY = "1GB"  # of DuckDB while an index is built; what exceeds it goes to files
ROWS_PER_BATCH = 100_000
BINS = 24  # of a histogram
NO_BIN = 255  # of a clip without the measure
MAX_VALUES = 65_000  # of a facet that are kept apart; clips with further ones count under no value
INDEX_TABLES = tuple(
    dict.fromkeys(
        table
        for folder in ("facets", "measures")
        for path in statements_in(f"explorer/{folder}")
        for table in ("clips", *tables_in(path.read_text(encoding="utf-8")))
    )
)

# What a search reads beside them.
INDEXED_TABLES = (*INDEX_TABLES, "clip_embeddings", "clip_things", "active_checkpoint", "frames")

Range = tuple[float | None, float | None]


class FacetHeader(Header):
    """The header of a facet or measure. place: its position on the page. values: what its values are names of."""

    place: int
    values: Literal["names", "languages"] = "names"


class WrongFilter(ValueError):
    """A filter that this lake cannot have. The message says which."""


@dataclass(frozen=True)
class Filters:
    """words: facet -> accepted values, of which a clip has at least one. ranges: measure -> lowest, highest; a clip
    without the measure is left out. video: only clips of this video.
    """

    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    video: str | None = None


@dataclass(frozen=True)
class Facet:
    """A facet with the number of clips of each value, most first. chosen: the accepted values."""

    name: str
    header: FacetHeader
    counts: list[tuple[str, int]]
    chosen: tuple[str, ...]


@dataclass(frozen=True)
class Histogram:
    """A measure with the number of clips in each of BINS equal bins from `lowest` to `highest`. chosen: the range."""

    name: str
    header: FacetHeader
    title: str
    lowest: float
    highest: float
    counts: list[int]
    chosen: Range


@dataclass(frozen=True)
class _Words:
    """Entries: clip number and position of the value, one for each value of a clip."""

    header: FacetHeader
    values: list[str]
    numbers: np.ndarray
    codes: np.ndarray


@dataclass(frozen=True)
class _Numbers:
    header: FacetHeader
    title: str
    values: np.ndarray  # [clips] float32, NaN where there is none
    bins: np.ndarray  # [clips] uint8
    lowest: float
    highest: float


class ClipIndexes:
    """Gives each page the newest index. When the lake has changed, the next one is made beside the pages, which show
    the last one meanwhile.
    """

    def __init__(self, views: LakeViews) -> None:
        self._views = views
        self._lock = threading.Lock()
        self._index: ClipIndex | None = None
        self._making: threading.Thread | None = None
        self._made_at = self._seconds = 0.0

    def newest(self, *, wait: bool = False) -> ClipIndex:
        """Returns an index of the lake as it is, or was when the last one was made. The first one is waited for.

        wait: for an index of the lake as it is now. Raises LakeGone.
        """
        view = self._views.newest()
        with self._lock:
            if self._index is None or (wait and not self._index.is_of(view)):
                self._make(view)
            elif not self._index.is_of(view) and self._making is None and self._is_time():
                self._making = threading.Thread(target=self._make_beside, args=(view,), daemon=True, name="clip index")
                self._making.start()
            assert self._index is not None
            return self._index

    def _is_time(self) -> bool:
        """Whether so much time has passed that making indexes takes a small share of it."""
        return time.monotonic() - self._made_at > SHARE_OF_TIME * self._seconds

    def _make(self, view: LakeView) -> None:
        started = time.monotonic()
        self._index = ClipIndex(view)
        self._made_at = time.monotonic()
        self._seconds = self._made_at - started

    def _make_beside(self, view: LakeView) -> None:
        try:
            self._make(view)
        except (OSError, ValueError, RuntimeError) as error:  # the lake was moved meanwhile: the next page says so
            _LOGGER.warning("the clips were not indexed again: %s", error)
            self._made_at = time.monotonic()
        finally:
            self._making = None


class ClipIndex:
    """The index of a view. Its files last as long as it does."""

    def __init__(self, view: LakeView) -> None:
        """Reads the view. Its time grows with the clips: see docs/explorer.md."""
        self.view = view
        files = ExitStack()
        folder = files.enter_context(temporary_folder())
        weakref.finalize(self, files.close)
        with view.connect(INDEX_TABLES, memory_limit=BUILD_MEMORY) as connection:
            connection.execute(statement("explorer/numbered"))
            ids = connection.sql(statement("explorer/clip_ids"))
            self.clip_ids = _text_in_file(ids.to_arrow_reader(ROWS_PER_BATCH), folder / "clip_ids.arrow")
            self.clips = len(self.clip_ids)
            self._words = {path.stem: _words(connection, path, folder) for path in statements_in("explorer/facets")}
            self._numbers: dict[str, _Numbers] = {}
            for path in statements_in("explorer/measures"):
                self._numbers |= _numbers(connection, path, folder, self.clips)
        self.spoken = SpokenWords(view, folder)

    def is_of(self, view: LakeView) -> bool:
        """Whether this index would be made of the view again."""
        mine, versions = self.view.versions, view.versions
        return all(mine[table] == versions[table] for table in INDEXED_TABLES)

    @property
    def facets(self) -> list[str]:
        return list(self._words)

    @property
    def measures(self) -> list[str]:
        return list(self._numbers)

    def titles_of_measures(self) -> dict[str, str]:
        return {name: measure.title for name, measure in self._numbers.items()}

    def matching(self, filters: Filters) -> np.ndarray:
        """Returns [clips] bool: the clips that all filters leave. Raises WrongFilter."""
        return _all_of(self._masks(filters).values(), self.clips)

    def counted(self, filters: Filters, among: np.ndarray | None = None) -> tuple[list[Facet], list[Histogram]]:
        """Returns facets and histograms, in the order of the page. among: [clips] bool, only these are counted."""
        masks = self._masks(filters)
        if among is not None:
            masks["among"] = among
        all_filters = _all_of(masks.values(), self.clips)

        def left_by_others(name: str) -> np.ndarray:
            if name not in masks:
                return all_filters
            return _all_of((mask for filter_name, mask in masks.items() if filter_name != name), self.clips)

        facets = []
        for name, words in self._words.items():
            left = left_by_others(name)
            counts = np.bincount(words.codes[left[words.numbers]], minlength=len(words.values))
            chosen = tuple(filters.words.get(name, ()))
            shown = [
                (words.values[code], int(counts[code]))
                for code in np.argsort(-counts, kind="stable")
                if counts[code] or words.values[code] in chosen
            ]
            facets.append(Facet(name, words.header, shown, chosen))
        histograms = []
        for name, measure in self._numbers.items():
            counts = np.bincount(measure.bins[left_by_others(name)], minlength=NO_BIN + 1)[:BINS]
            chosen_range = filters.ranges.get(name, (None, None))
            histograms.append(
                Histogram(
                    name, measure.header, measure.title, measure.lowest, measure.highest, counts.tolist(), chosen_range
                )
            )
        return (
            sorted(facets, key=lambda facet: facet.header.place),
            sorted(histograms, key=lambda histogram: (histogram.header.place, histogram.title)),
        )

    def numbers_of(self, clip_ids: Sequence[str]) -> np.ndarray:
        """Returns the clips' numbers, in the order of the ids; ids that are not here are left out."""
        positions = pc.index_in(self.clip_ids, value_set=pa.array(clip_ids, pa.string()))
        numbers = np.flatnonzero(positions.is_valid())
        order = np.argsort(positions.drop_null().to_numpy(zero_copy_only=False), kind="stable")
        return numbers[order]

    def ids_of(self, numbers: np.ndarray) -> list[str]:
        return self.clip_ids.take(pa.array(numbers)).to_pylist()

    def ordered(self, matching: np.ndarray, measure: str | None, *, descending: bool, count: int) -> np.ndarray:
        """Returns the first `count` of the matching clips' numbers: by a measure, those without it last; None: as they
        are numbered.
        """
        numbers = np.flatnonzero(matching)
        if measure is None:
            return numbers[::-1][:count] if descending else numbers[:count]
        values = self._numbers[measure].values[numbers]
        keys = np.where(np.isnan(values), np.inf, -values if descending else values)
        if count < len(keys):
            nearest = np.argpartition(keys, count - 1)[:count]
            # Of equal ones the first, so that pages neither repeat nor omit any.
            nearest = np.flatnonzero(keys <= keys[nearest].max())
            numbers, keys = numbers[nearest], keys[nearest]
        return numbers[np.argsort(keys, kind="stable")][:count]

    def _masks(self, filters: Filters) -> dict[str, np.ndarray]:
        masks: dict[str, np.ndarray] = {}
        for name, accepted in filters.words.items():
            words = self._words.get(name)
            if words is None:
                raise WrongFilter(f"clips are not filtered by {name!r}")
            codes = {value: code for code, value in enumerate(words.values)}
            if unknown := [value for value in accepted if value not in codes]:
                raise WrongFilter(f"no clip of this lake has the {words.header.title.lower()} {unknown[0][:80]!r}")
            has_one = np.isin(words.codes, [codes[value] for value in accepted])
            masks[name] = np.zeros(self.clips, bool)
            masks[name][words.numbers[has_one]] = True
        for name, (lowest, highest) in filters.ranges.items():
            measure = self._numbers.get(name)
            if measure is None:
                raise WrongFilter(f"clips have no measure {name[:80]!r}")
            with np.errstate(invalid="ignore"):
                mask = ~np.isnan(measure.values)
                if lowest is not None:
                    mask &= measure.values >= np.float32(lowest)
                if highest is not None:
                    mask &= measure.values <= np.float32(highest)
            masks[name] = mask
        if filters.video is not None:
            masks["video"] = np.asarray(pc.starts_with(self.clip_ids, f"{filters.video}_"))
        return masks


def _all_of(masks: Iterable[np.ndarray], clips: int) -> np.ndarray:
    left = np.ones(clips, bool)
    for mask in masks:
        left &= mask
    return left


def _text_in_file(reader: pa.RecordBatchReader, path: Path) -> pa.StringArray:
    """Writes a column of text to a file, and returns it mapped into memory."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    column = table.column(0)
    return pa.chunked_array(column.chunks, pa.string()).combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _words(connection: duckdb.DuckDBPyConnection, path: Path, folder: Path) -> _Words:
    sql = path.read_text(encoding="utf-8")
    codes: dict[str, int] = {}
    numbers_file, codes_file = folder / f"{path.stem}.numbers", folder / f"{path.stem}.codes"
    with numbers_file.open("wb") as numbers, codes_file.open("wb") as coded:
        for batch in connection.sql(sql).to_arrow_reader(ROWS_PER_BATCH):
            values = batch.column("value").dictionary_encode()
            for value in values.dictionary.to_pylist():
                if value is not None and len(codes) < MAX_VALUES:
                    codes.setdefault(value, len(codes))
            translation = np.array([codes.get(value, -1) for value in values.dictionary.to_pylist()], np.int32)
            row_codes = np.full(len(batch), -1, np.int32)
            valid = np.asarray(values.indices.is_valid())
            row_codes[valid] = translation[values.indices.drop_null().to_numpy(zero_copy_only=False)]
            kept = row_codes >= 0
            numbers.write(batch.column("number").to_numpy(zero_copy_only=False)[kept].astype(np.int32).tobytes())
            coded.write(row_codes[kept].tobytes())
    return _Words(
        parsed_header(sql, FOLDER / path, FacetHeader), list(codes), _mapped(numbers_file), _mapped(codes_file)
    )


def _mapped(path: Path) -> np.ndarray:
    if path.stat().st_size == 0:  # nothing to map
        return np.zeros(0, np.int32)
    return np.memmap(path, np.int32, "r")


def _numbers(connection: duckdb.DuckDBPyConnection, path: Path, folder: Path, clips: int) -> dict[str, _Numbers]:
    sql = path.read_text(encoding="utf-8")
    header = parsed_header(sql, FOLDER / path, FacetHeader)
    by_name: dict[str, np.memmap] = {}
    for batch in connection.sql(sql).to_arrow_reader(ROWS_PER_BATCH):
        numbers = batch.column("number").to_numpy(zero_copy_only=False)
        values = batch.column("value").to_numpy(zero_copy_only=False)
        measures = batch.column("measure").dictionary_encode()
        indices = measures.indices.to_numpy(zero_copy_only=False)
        for index, name in enumerate(measures.dictionary.to_pylist()):
            if name not in by_name:
                file = folder / f"{path.stem}.{len(by_name)}.values"
                by_name[name] = np.memmap(file, np.float32, "w+", shape=(clips,))
                by_name[name][:] = np.nan
            by_name[name][numbers[indices == index]] = values[indices == index]
    return {
        name: _with_bins(header, name, values, folder / f"{path.stem}.{position}.bins")
        for position, (name, values) in enumerate(by_name.items())
    }


def _with_bins(header: FacetHeader, name: str, values: np.ndarray, file: Path) -> _Numbers:
    lowest, highest = float(np.nanmin(values)), float(np.nanmax(values))
    width = (highest - lowest) / BINS or 1.0
    bins = np.memmap(file, np.uint8, "w+", shape=values.shape)
    for start in range(0, len(values), ROWS_PER_BATCH):
        part = values[start : start + ROWS_PER_BATCH]
        positions = np.clip(np.nan_to_num((part - lowest) / width), 0, BINS - 1)
        bins[start : start + ROWS_PER_BATCH] = np.where(np.isnan(part), NO_BIN, positions).astype(np.uint8)
    title = name.removeprefix("score.").replace("_", " ") if name.startswith("score.") else header.title
    return _Numbers(header, title[:1].upper() + title[1:], values, bins, lowest, highest)
