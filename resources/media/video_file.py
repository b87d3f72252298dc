"""Functions of the child processes: they hash, probe and scan a video file, read its subtitles and sound, cut it.

Every child imports this module, so nothing heavy is imported here: Dagster alone would cost a child a second.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from resources.lake.paths import StoragePath

if TYPE_CHECKING:
    from internvid.cutting.clips import CannotCut, ClipFile, Cut
    from internvid.cutting.exact import Encoding
    from internvid.speech.sound import Window
    from internvid.speech.subtitles import Subtitles
    from internvid.video.packets import Packets
    from internvid.video.probe import Probe
    from internvid.video.scan import ClipSpan, SampledFrame
    from internvid.video.settings import ScanSettings
    from internvid.video.spans import Span, SpanNotThere

FRAMES_PER_BATCH = 32

FRAME_COLUMNS = pa.schema(
    [
        ("pts", pa.int64()),
        ("seconds", pa.float64()),
        ("is_fine", pa.bool_()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("jpeg", pa.binary()),
    ]
)
SPAN_FRAME_COLUMNS = FRAME_COLUMNS.append(pa.field("span", pa.int32()))  # the number of the given span

WINDOW_COLUMNS = pa.schema([("start_seconds", pa.float64()), ("samples", pa.binary())])  # int16, 16 kHz


@dataclass(frozen=True)
class Inspected:
    """A file's identity, its probe, and what its packets are."""

    sha256: str
    size_bytes: int
    probe: Probe
    packets: Packets


@dataclass(frozen=True)
class Scanned:
    """The clips of a video, and its sampled frames in a file, because a long video's frames may not fit in memory.

    not_there: errors of given spans that are no clips, by the span's number. span_numbers: the span's number of each
    clip.
    """

    clips: list[ClipSpan]
    frame_count: int
    frames_path: Path
    span_numbers: tuple[int, ...] = ()
    not_there: Mapping[int, SpanNotThere] = field(default_factory=dict)

    def frames(self) -> Iterator[pa.RecordBatch]:
        """Yields the frames in order of decoding, in batches of FRAME_COLUMNS (for given spans, SPAN_FRAME_COLUMNS)."""
        with pa.OSFile(str(self.frames_path)) as file, pa.ipc.open_stream(file) as stream:
            yield from stream

    def remove(self) -> None:
        shutil.rmtree(self.frames_path.parent)


@dataclass(frozen=True)
class Heard:
    """The parts of a video's sound with speech, in a file.

    window_count: number of windows of at most 30 s. sound: name of the stream that was listened to.
    """

    window_count: int
    sound: str | None
    windows_path: Path

    def windows(self) -> Iterator[Window]:
        """Yields the windows in order of time, read one by one."""
        import numpy as np

        from internvid.speech.sound import Window

        with pa.OSFile(str(self.windows_path)) as file, pa.ipc.open_stream(file) as stream:
            for batch in stream:
                for row in batch.to_pylist():
                    samples = np.frombuffer(row["samples"], np.int16).astype(np.float32) / 32768
                    yield Window(row["start_seconds"], samples)

    def remove(self) -> None:
        shutil.rmtree(self.windows_path.parent)


def duration(path: str) -> float:
    """Returns the seconds that the file holds, as `quick_seconds` finds them; 0 where it cannot be read."""
    from internvid.video.packets import quick_seconds
    from internvid.video.probe import UnreadableVideo

    try:
        return quick_seconds(path)
    except (UnreadableVideo, OSError):
        return 0.0  # raw_videos meets the same error and records it


def inspect(uri: str, storage_options: Mapping[str, Any]) -> Inspected:
    """Hashes and probes the file. Raises as `internvid.video.probe.probe`."""
    from internvid.video.packets import read_packets
    from internvid.video.probe import probe

    with StoragePath(uri, storage_options).local() as path:
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        probed = probe(path)
        return Inspected(sha256, Path(path).stat().st_size, probed, read_packets(path))


@dataclass(frozen=True)
class ToScan:
    """A video to scan. seconds: its length, 0 if unknown. spans: the spans to make clips of; None: between its cuts."""

    path: str
    seconds: float
    spans: tuple[Span, ...] | None = None


def scan_into(spool: str, video: ToScan, storage_options: Mapping[str, Any], settings: ScanSettings) -> Scanned:
    """Scans the video; its frames are in a new folder under `spool`. Raises as `internvid.video.scan.scan`."""
    from internvid.video.scan import ClipSpan, scan
    from internvid.video.spans import SpanNotThere, scan_spans

    frames_path = Path(tempfile.mkdtemp(dir=spool)) / "frames.arrow"
    schema = FRAME_COLUMNS if video.spans is None else SPAN_FRAME_COLUMNS
    with StoragePath(video.path, storage_options).local() as path, _FrameFile(frames_path, schema) as file:
        if video.spans is None:
            return Scanned(scan(path, settings, file.keep), file.flushed(), frames_path)
        results = scan_spans(path, settings, video.spans, file.keep_of_span, video_seconds=video.seconds or None)
        clips = {number: clip for number, clip in enumerate(results) if isinstance(clip, ClipSpan)}
        not_there = {number: error for number, error in enumerate(results) if isinstance(error, SpanNotThere)}
        return Scanned(list(clips.values()), file.flushed(), frames_path, tuple(clips), not_there)


class _FrameFile:
    """Writes sampled frames, a batch at a time."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._file = pa.OSFile(str(path), "wb")
        self._stream = pa.ipc.new_stream(self._file, schema)
        self._waiting: list[dict[str, Any]] = []
        self._count = 0

    def __enter__(self) -> _FrameFile:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()
        self._file.close()

    def keep(self, frame: SampledFrame) -> None:
        self._keep(vars(frame))

    def keep_of_span(self, span: int, frame: SampledFrame) -> None:
        self._keep(vars(frame) | {"span": span})

    def flushed(self) -> int:
        """Writes the waiting frames. Returns the number of all frames."""
        if self._waiting:
            self._stream.write_batch(pa.RecordBatch.from_pylist(self._waiting, schema=self._schema))
            self._waiting.clear()
        return self._count

    def _keep(self, row: dict[str, Any]) -> None:
        self._count += 1
        self._waiting.append(row)
        if len(self._waiting) >= FRAMES_PER_BATCH:
            self.flushed()


def read_subtitles(
    video: str, name: str, files: Sequence[str], kinds: Sequence[str], storage_options: Mapping[str, Any]
) -> Subtitles | None:
    """Reads subtitles in the video and the files beside it. Raises as `internvid.speech.subtitles.subtitles_of`."""
    from internvid.speech.subtitles import SubtitleFile, subtitles_of

    beside = []
    for uri in files:
        with StoragePath(uri, storage_options).local() as path:
            file_name = unquote(PurePosixPath(urlsplit(uri).path).name, errors="replace")
            beside.append(SubtitleFile(file_name, Path(path).read_bytes()))
    with StoragePath(video, storage_options).local() as path:
        return subtitles_of(path, name, beside, kinds)


def listen_into(spool: str, video: str, storage_options: Mapping[str, Any], only_speech: bool) -> Heard:
    """Writes the windows of the video's sound to a new folder under `spool`. Raises as `internvid.speech.sound`."""
    import numpy as np

    from internvid.speech.sound import Everything, Silero, chosen_sound, windows

    windows_path = Path(tempfile.mkdtemp(dir=spool)) / "windows.arrow"
    window_count = 0
    with (
        StoragePath(video, storage_options).local() as path,
        pa.OSFile(str(windows_path), "wb") as file,
        pa.ipc.new_stream(file, WINDOW_COLUMNS) as stream,
    ):
        sound = chosen_sound(path)
        for window in windows(path, Silero() if only_speech else Everything()):
            samples = np.clip(np.rint(window.samples * 32768), -32768, 32767).astype(np.int16)
            row = {"start_seconds": window.start_seconds, "samples": samples.tobytes()}
            stream.write_batch(pa.RecordBatch.from_pylist([row], schema=WINDOW_COLUMNS))
            window_count += 1
    return Heard(window_count, sound, windows_path)


@dataclass(frozen=True)
class ToCut:
    """Clips to cut out of a video. encoding: None to copy them from a key frame on."""

    path: str
    cuts: tuple[Cut, ...]
    encoding: Encoding | None

    @property
    def seconds(self) -> float:
        """What may have to be decoded or encoded: the video up to the last clip's end, and the clips."""
        return max(cut.end_seconds for cut in self.cuts) + sum(cut.end_seconds - cut.start_seconds for cut in self.cuts)


def cut_into(spool: str, video: ToCut, storage_options: Mapping[str, Any]) -> tuple[Path, list[ClipFile | CannotCut]]:
    """Cuts the clips into a new folder under `spool`. Returns the folder, and a result for each clip, in their order.

    Raises as `internvid.cutting.exact.cut_exactly`.
    """
    from internvid.cutting.exact import cut_exactly
    from internvid.cutting.stream_copy import copy_clips

    folder = Path(tempfile.mkdtemp(dir=spool))
    with StoragePath(video.path, storage_options).local() as path:
        if video.encoding is None:
            return folder, list(copy_clips(path, video.cuts, folder))
        return folder, list(cut_exactly(path, video.cuts, folder, video.encoding))
