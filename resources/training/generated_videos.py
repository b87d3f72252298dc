"""The videos that generated ones are measured with: read in children, real ones from a subset of the lake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resources.incremental.provenance import digest
from resources.lake.paths import local_path
from resources.lake.statements import statement
from resources.lake.temporary_folders import temporary_folder
from resources.media.child_process import ordered
from resources.media.confinement import Confinement
from resources.training.benchmarks import MEMORY_BYTES, SECONDS_PER_VIDEO
from resources.training.checkpoint_rows import made_from

if TYPE_CHECKING:
    from internvid.generation.metrics.videos import MeasuredVideo, Reading, ReadVideo
    from resources.lake.store import Lake


def read_in_children(
    videos: Iterable[MeasuredVideo], reading: Reading, *, workers: int
) -> Iterator[tuple[MeasuredVideo, ReadVideo | BaseException]]:
    """Yields each video with its frames or its error. Files are decoded in child processes with limits."""
    from internvid.generation.metrics.videos import read_video

    with temporary_folder() as folder:
        confinement = Confinement(str(folder))
        yield from ordered(
            read_video,
            videos,
            arguments=lambda video: (str(video.path), video.start_seconds, video.end_seconds, reading),
            seconds=lambda video: SECONDS_PER_VIDEO,
            workers=workers,
            memory_bytes=MEMORY_BYTES,
            confinement=lambda video: confinement,
        )


def clips_of_subset(lake: Lake, subset: str, *, limit: int) -> list[MeasuredVideo]:
    """Returns up to `limit` clips of the subset, drawn by a hash of their ids, as spans of their videos, with captions.

    Raises ValueError where the subset was not made, has no clip, or lies in a bucket: its videos have to be on a disk.
    """
    made = made_from(lake, subset)
    if made is None:
        raise ValueError(f"{subset!r} is neither a folder nor a subset that was made: see `internvid subset list`")
    drawn = lake.query(
        statement("training/real_clips"), {"subset": subset, "limit": limit}, tables=["subsets"]
    ).to_pylist()
    if not drawn:
        raise ValueError(f"the subset {subset} has no clip to compare with")
    return clips_in_videos(lake, [row["clip_id"] for row in drawn], snapshot=made["snapshot"])


def clips_in_videos(lake: Lake, clip_ids: list[str], *, snapshot: str) -> list[MeasuredVideo]:
    """Returns the clips as spans of their videos, with captions, as they are at the snapshot.

    Raises ValueError where they lie in a bucket: their videos have to be on a disk.
    """
    from internvid.generation.metrics.videos import MeasuredVideo

    rows = lake.query(
        statement("training/real_clip_videos"),
        {"clip_ids": clip_ids},
        tables=["clips", "raw_videos", "clip_captions"],
        at=snapshot,
    ).to_pylist()
    videos = []
    for row in rows:
        if (file := local_path(row["path"])) is None:
            raise ValueError(f"{row['path']} is not on a disk of this machine: export the clips, and name their folder")
        videos.append(
            MeasuredVideo(row["clip_id"], Path(file), row["caption"], row["start_seconds"], row["end_seconds"])
        )
    return videos


@dataclass(frozen=True)
class Asked:
    """Videos that were asked of a generator: each prompt with each seed. sampling: `Sampling.version`."""

    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    sampling: str


def stored_videos(lake: Lake, checkpoint_id: str, folder: Path, asked: Asked | None = None) -> list[MeasuredVideo]:
    """Writes the lake's videos of a generator as files into the folder, and returns them with their prompts.

    asked: only these; None: all. Raises ValueError where the table `generated_videos` has none of that generator.
    """
    from internvid.generation.metrics.videos import MeasuredVideo

    rows = lake.query(
        statement("training/stored_videos"),
        {
            "checkpoint_id": checkpoint_id,
            "prompts": None if asked is None else list(asked.prompts),
            "seeds": None if asked is None else list(asked.seeds),
            "sampling": None if asked is None else asked.sampling,
        },
        tables=["generated_videos"],
    ).to_pylist()
    if not rows:
        raise ValueError(f"{checkpoint_id!r} is neither a folder nor a generator with videos in generated_videos")
    videos = []
    for number, row in enumerate(rows):  # one at a time: together they may be larger than the memory
        path = folder / f"{number}.mp4"
        path.write_bytes(lake.fetch("generated_videos", [row["generated_video_id"]], ["mp4"])["mp4"][0].as_py())
        videos.append(MeasuredVideo(row["generated_video_id"], path, row["prompt"]))
    return videos


def videos_digest(videos: Iterable[MeasuredVideo]) -> str:
    """Returns a digest of the names, spans, prompts and sizes of files; the videos are not read."""
    return digest(
        [
            (video.name, video.prompt, video.start_seconds, video.end_seconds, video.path.stat().st_size)
            for video in videos
            if video.path.exists()
        ]
    )
