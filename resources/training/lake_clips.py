"""Reads clips for training and evaluation directly from the lake, as it was at a snapshot.

`index_clips` writes an Arrow file with the clips and the positions of their frames in the frames table. `LakeClips`
maps that file into memory and reads pictures from the frames table: one read for a whole batch, and no video is opened.
A snapshot's versions never change, so the positions stay valid whatever is written, deleted or compacted later. A
version is removed only when a video in it is forgotten; readers of the version then fail.

Nothing heavy is imported here, Dagster included: a DataLoader's workers import this module and wait for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from resources.lake.statements import statement
from resources.lake.temporary_folders import temporary_folder

if TYPE_CHECKING:
    import duckdb
    import lance

    from resources.lake.store import Lake

ROWS_PER_BATCH = 10_000
SPANS = ".videos"  # suffix of the file beside an index that has the videos of its clips
MEMORY_LIMIT = "2GB"  # of the joins; what exceeds it goes to files beside the index

# short_side: shorter side of the clip's smallest frame, pixels.
# frame_rows: positions of the clip's frames in the frames table, in order of time.
INDEX = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("video_number", pa.int64(), nullable=False),
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("frame_count", pa.int32(), nullable=False),
        pa.field("short_side", pa.int32(), nullable=False),
        pa.field("frame_rows", pa.list_(pa.field("item", pa.int64(), nullable=False)), nullable=False),
    ]
)


@dataclass(frozen=True)
class Indexed:
    """Result of `index_clips`. clips: number of clips in the index. left_out: number of other clips, by reason."""

    path: Path
    clips: int
    left_out: dict[str, int]


def index_clips(
    lake: Lake,
    clip_ids: pa.Array | pa.ChunkedArray | Iterable[str],
    path: str | Path,
    *,
    snapshot: str,
    weights: pa.Array | pa.ChunkedArray | None = None,
) -> Indexed:
    """Writes the Arrow file that `LakeClips` reads: the clips in the order given, as they are at the snapshot.

    snapshot: a tag of the whole lake. weights: of the clips, above 0; None: 1. Left out are clips that the snapshot
    does not hold, and those without a caption or without frames. The joins take MEMORY_LIMIT at most, then files beside
    the index. The index appears whole or not at all.
    Raises ValueError for an id that is given twice, and where no clip is left.
    """
    path = Path(path)
    ids = clip_ids if isinstance(clip_ids, pa.Array | pa.ChunkedArray) else pa.array(clip_ids, pa.string())
    chosen = pa.table(
        {
            "position": pa.array(np.arange(len(ids))),
            "clip_id": ids.cast(pa.string()),
            "weight": pa.array(np.ones(len(ids))) if weights is None else weights.cast(pa.float64()),
        }
    )
    frames = lake.dataset("frames", snapshot)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        temporary_folder(path.parent) as folder,
        lake.connect(["clips", "clip_captions"], at=snapshot, memory_limit=MEMORY_LIMIT) as connection,
    ):
        connection.execute("SET temp_directory = $1", [str(folder)])
        left_out = _join(connection, chosen, _places(frames))
        about = {"snapshot": snapshot, "frames_version": str(frames.version)}
        part = folder / path.name
        clips = _write(connection, part, INDEX.with_metadata(about))
        if clips == 0:
            raise ValueError(f"none of {len(ids)} clips can be read at {snapshot}: {left_out}")
        os.replace(part, path)
    return Indexed(path, clips, left_out)


def _places(frames: lance.LanceDataset) -> pa.RecordBatchReader:
    """Returns clip_id, seconds, short_side and position of every frame. `take` counts positions in order of a scan."""
    import pyarrow.compute as pc

    # Nothing else of the frames is read: their pictures are nearly all of the table.
    batches = frames.scanner(columns=["clip_id", "seconds", "width", "height"], scan_in_order=True).to_batches()
    schema = pa.schema(
        {"clip_id": pa.string(), "seconds": pa.float64(), "short_side": pa.int32(), "frame_row": pa.int64()}
    )

    def placed() -> Iterator[pa.RecordBatch]:
        seen = 0
        for batch in batches:
            rows = pa.array(np.arange(seen, seen + batch.num_rows))
            short_side = pc.min_element_wise(batch["width"], batch["height"])
            yield pa.record_batch([batch["clip_id"], batch["seconds"], short_side, rows], schema=schema)
            seen += batch.num_rows

    return pa.RecordBatchReader.from_batches(schema, placed())


def _join(connection: duckdb.DuckDBPyConnection, chosen: pa.Table, places: pa.RecordBatchReader) -> dict[str, int]:
    """Creates the tables `kept` (one row per clip) and `kept_frames`. Returns numbers of left-out clips by reason."""
    connection.from_arrow(chosen).create("chosen")
    twice = connection.sql("select clip_id from chosen group by clip_id having count(*) > 1 limit 5").fetchall()
    if twice:
        raise ValueError(f"clips given twice: {', '.join(str(clip_id) for (clip_id,) in twice)}")
    connection.from_arrow(places).create_view("places")
    connection.execute(f"create table chosen_frames as {statement('training/clip_index_frames')}")
    connection.execute(f"create table described as {statement('training/clip_index_described')}")
    connection.execute(f"create table kept as {statement('training/clip_index_kept')}")
    left_out = "select lacks, count(*) from described where lacks is not null group by lacks order by lacks"
    return dict(connection.sql(left_out).fetchall())


IN_ORDER = "select clip_id, video_number, weight, caption, frame_count, short_side from kept order by position"


def _write(connection: duckdb.DuckDBPyConnection, path: Path, schema: pa.Schema) -> int:
    """Merges the two sorted streams into the file. Returns the number of clips."""
    written = 0
    with connection.cursor() as cursor, pa.ipc.new_file(path, schema) as file:
        frame_rows = _Stream(cursor.sql(statement("training/clip_index_frame_order")).to_arrow_reader(ROWS_PER_BATCH))
        for clips in connection.sql(IN_ORDER).to_arrow_reader(ROWS_PER_BATCH):
            offsets = np.concatenate([[0], np.cumsum(clips["frame_count"].to_numpy())])
            lists = pa.ListArray.from_arrays(
                pa.array(offsets, pa.int32()), frame_rows.next(offsets[-1]), schema.field("frame_rows").type
            )
            columns = {**{name: clips[name] for name in clips.schema.names}, "frame_rows": lists}
            file.write_batch(pa.record_batch([columns[name] for name in schema.names], schema=schema))
            written += clips.num_rows
    return written


class _Stream:
    """A stream of batches of one integer column, read any number of rows at a time."""

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self.batches = iter(reader)
        self.held = pa.array([], pa.int64())

    def next(self, rows: int) -> pa.Array:
        parts = [self.held]
        while sum(map(len, parts)) < rows:
            parts.append(next(self.batches).column(0))
        together = pa.concat_arrays(parts)
        self.held = together[rows:]
        return together[:rows]


class LakeClips:
    """The `Clips` of an index over the lake. Pickles as three paths; opens the lake in the process that reads.

    short_side: pixels that the reader needs. Pictures of at least twice, four or eight times that size are decoded at a
    half, a quarter or an eighth of their size, which is faster. None: full size.
    Raises ValueError where the index was made from another snapshot.
    """

    def __init__(self, lake: Lake, index_path: str | Path, snapshot: str, *, short_side: int | None = None) -> None:
        self._where = (lake.uri("frames"), lake.lance_options, str(index_path), short_side)
        self._open()
        if self.snapshot != snapshot:
            raise ValueError(f"{index_path} was made from {self.snapshot}, not from {snapshot}")

    def __getstate__(self) -> dict:
        return {"_where": self._where}

    def __setstate__(self, state: dict) -> None:
        self._where = state["_where"]
        self._open()

    def _open(self) -> None:
        """Maps the index: the processes of a machine share its memory."""
        self._index = pa.ipc.open_file(pa.memory_map(self._where[2])).read_all()
        self.video_numbers: np.ndarray = self._index["video_number"].to_numpy()
        self.frame_counts: np.ndarray = self._index["frame_count"].to_numpy()
        self._opened: tuple[int, lance.LanceDataset] | None = None

    def __len__(self) -> int:
        return self._index.num_rows

    @property
    def snapshot(self) -> str:
        """The snapshot that the index was made from."""
        return self._index.schema.metadata[b"snapshot"].decode()

    @property
    def index_path(self) -> Path:
        return Path(self._where[2])

    @property
    def weights(self) -> np.ndarray:
        """Of each clip, [clips] float64, above 0."""
        return self._index["weight"].to_numpy()

    def clip_ids(self, positions: Sequence[int]) -> list[str]:
        return self._texts("clip_id", positions)

    def captions(self, positions: Sequence[int]) -> list[str]:
        return self._texts("caption", positions)

    def _texts(self, name: str, positions: Sequence[int]) -> list[str]:
        column = self._index[name]
        return [column[int(position)].as_py() for position in positions]

    def frames(self, picks: Sequence[tuple[int, Sequence[int]]]) -> list[np.ndarray]:
        """As `Clips.frames` says: one read for all picks.

        If the size of a video changes within a clip, all frames are scaled to the size of the first chosen frame.
        Raises RuntimeError in a process that was forked after frames were read in its parent: Lance would hang there.
        """
        if not picks:
            return []
        column = self._index["frame_rows"]
        places = [column[int(clip)].values.to_numpy()[np.asarray(chosen, np.int64)] for clip, chosen in picks]
        # Each row once and in the order of the table, as a disk reads best.
        rows, which = np.unique(np.concatenate(places), return_inverse=True)
        jpegs = self._frames_table().take(pa.array(rows), columns=["jpeg"])["jpeg"].combine_chunks()
        ends = np.cumsum([len(place) for place in places])
        return [
            decoded([jpegs[int(at)].as_buffer() for at in of_clip], self._shrink(int(clip)))
            for (clip, _), of_clip in zip(picks, np.split(which, ends[:-1]), strict=True)
        ]

    def _shrink(self, clip: int) -> int:
        """Returns by which factor the clip's pictures may be shrunk in decoding: 1, 2, 4 or 8."""
        wanted = self._where[3]
        if wanted is None:
            return 1
        times = self._index["short_side"][clip].as_py() // wanted
        return max(shrink for shrink in (1, 2, 4, 8) if shrink <= max(1, times))

    def _frames_table(self) -> lance.LanceDataset:
        if self._opened is None:
            import lance

            uri, storage_options, _, _ = self._where
            version = int(self._index.schema.metadata[b"frames_version"])
            table = lance.dataset(uri, version=version, storage_options=storage_options or None)
            self._opened = os.getpid(), table
        process, table = self._opened
        if process != os.getpid():
            raise RuntimeError("Lance is not fork-safe: start processes that read clips by spawn")
        return table


def decoded(jpegs: Sequence[pa.Buffer | np.ndarray], shrink: int) -> np.ndarray:
    """Returns [jpegs, height, width, 3] uint8 RGB, all in the size of the first, divided by `shrink`.

    Raises ValueError for a JPEG that cannot be read.
    """
    import cv2

    scale = {
        1: cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }
    video: np.ndarray = np.empty((0, 0, 0, 3), np.uint8)
    for number, jpeg in enumerate(jpegs):
        bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), scale[shrink]) if jpeg.size else None
        if bgr is None:
            raise ValueError(f"not a readable JPEG ({jpeg.size} bytes)")
        if number == 0:
            video = np.empty((len(jpegs), *bgr.shape), np.uint8)
        elif bgr.shape != video.shape[1:]:
            bgr = cv2.resize(bgr, (video.shape[2], video.shape[1]), interpolation=cv2.INTER_AREA)
        # Directly into the array: stacking pictures afterwards would take a third as long as decoding them.
        cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=video[number])
    return video
