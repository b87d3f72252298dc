"""WebDataset shards, with the names that video2dataset gives: in NNNNN.tar, for each clip its .mp4, .txt and .json;
beside it NNNNN.parquet with the same for every clip, failed ones too, and NNNNN_stats.json."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from resources.corpus.exports.forms.form import Form, seconds_of, span_of
from resources.corpus.exports.layout import FAILED, ExportFolder, Part, Row

if TYPE_CHECKING:
    from internvid.report.dataset_card import Facts

COLUMNS = pa.schema(
    [
        ("key", pa.string()),
        ("status", pa.string()),
        ("error_message", pa.string()),
        ("url", pa.string()),
        ("caption", pa.string()),
        ("clip_id", pa.string()),
        ("video_id", pa.string()),
        ("clips", pa.list_(pa.list_(pa.float64()))),
        ("seconds", pa.float64()),
        ("frames", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("licence", pa.string()),
        ("caption_model", pa.string()),
        ("transcript", pa.string()),
        ("scores", pa.string()),
        ("sha256", pa.string()),
    ]
)


class WebDataset(Form):
    name = "webdataset"
    packs = True

    def place(self, part: str, file_name: str) -> str:
        return file_name

    def write(self, part: Part, folder: Path) -> None:
        import pyarrow.parquet as pq

        place = folder / part.split
        place.mkdir(parents=True)
        with tarfile.open(place / f"{part.name}.tar", "w", format=tarfile.USTAR_FORMAT) as shard:
            for row in part.exported:
                if row["file"] is not None:
                    clip = part.clips / row["file"]
                    with clip.open("rb") as file:
                        _add(shard, f"{row['key']}{clip.suffix}", file, row["clip_bytes"])
                for suffix, text in (("txt", row["caption"]), ("json", json.dumps(meta(row), ensure_ascii=False))):
                    content = text.encode()
                    _add(shard, f"{row['key']}.{suffix}", io.BytesIO(content), len(content))
        table = pa.Table.from_pylist([meta(row) for row in part.rows], schema=COLUMNS)
        pq.write_table(table, place / f"{part.name}.parquet")
        (place / f"{part.name}_stats.json").write_text(json.dumps(stats(part), indent=4), encoding="utf-8")

    def clips(self, folder: ExportFolder, number: int, rows: Iterable[Row]) -> Iterator[tuple[str, bytes]]:
        names = {row["key"]: row["file"] for row in rows if row["file"]}
        for path in folder.path.glob(f"*/{number:05d}.tar"):
            with tarfile.open(path) as shard:
                for member in shard:
                    key, _, suffix = member.name.partition(".")
                    file = shard.extractfile(member)
                    if suffix not in ("txt", "json") and file is not None and key in names:
                        yield names[key], file.read()

    def configurations(self, facts: Facts) -> list[dict[str, Any]]:
        return [{"split": split, "path": f"{split}/*.tar"} for split in facts.splits]


def meta(row: Row) -> dict[str, Any]:
    """Returns what a clip's .json holds. clips: begin and end in the source, of a copied clip those of its file."""
    return {
        "key": row["key"],
        "status": "failed_to_subsample" if row["status"] == FAILED else "success",
        "error_message": row["error_message"],
        "url": row["source"],
        "caption": row["caption"],
        "clip_id": row["clip_id"],
        "video_id": row["video_id"],
        "clips": [list(span_of(row))],
        "seconds": seconds_of(row),
        "frames": row["frames"],
        "width": row["width"],
        "height": row["height"],
        "licence": row["licence"],
        "caption_model": row["caption_model"],
        "transcript": row["transcript"],
        "scores": json.dumps(row["scores"], sort_keys=True),
        "sha256": row["clip_sha256"],
    }


def stats(part: Part) -> dict[str, Any]:
    """Returns the shard's counts, with video2dataset's names; without times, so that equal shards have equal stats."""
    failed = len(part.rows) - len(part.exported)
    messages = Counter(row["error_message"] or "success" for row in part.rows)
    return {
        "count": len(part.rows),
        "successes": len(part.exported),
        "failed_to_download": 0,
        "failed_to_subsample": failed,
        "bytes": sum(row["clip_bytes"] or 0 for row in part.exported),
        "status_dict": dict(messages.most_common()),
    }


def _add(shard: tarfile.TarFile, name: str, file: Any, size: int) -> None:
    member = tarfile.TarInfo(name)  # of no owner and no time, so that equal shards have equal bytes
    member.size = size
    shard.addfile(member, file)
