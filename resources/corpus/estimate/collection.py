"""Collections to come: a number of videos, the videos of folders and lists, or what is pending in the lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from internvid.lists.items import Item, found_address, read_items
from internvid.speech.sidecars import SidecarFinder
from internvid.video.file_kinds import is_video_name
from resources.catalog.files import seen_now
from resources.catalog.folders import FoundFiles, video_files
from resources.catalog.lists import SUFFIXES
from resources.lake.paths import local_path
from resources.lake.statements import statement

if TYPE_CHECKING:
    from resources.incremental.declaration import StageDefinition
    from resources.lake.store import Lake
    from resources.media.store import Media


@dataclass(frozen=True)
class Collection:
    """What is to come.

    videos, seconds: number and length of the videos that are not cut yet. video_bytes: size of their files, None: as in
    the lake. web_videos: those that have to be downloaded, None: as many as in the lake. units: of stages, inputs that
    are pending beside what these videos bring. videos_by_stage: of stages that some of the videos have behind them.
    batches: ingest batches; None: as many as registering makes. guessed_videos: those whose length is taken from the
    lake's mean.
    """

    videos: int
    seconds: float
    video_bytes: int | None = None
    web_videos: int | None = None
    units: Mapping[str, int] = field(default_factory=dict)
    videos_by_stage: Mapping[str, int] = field(default_factory=dict)
    batches: int | None = None
    guessed_videos: int = 0


def listed(media: Media, locations: Sequence[str], *, mean_seconds: float) -> Collection:
    """Returns the collection of files, folders, URLs, and lists of these; nothing is registered.

    mean_seconds: length of a video whose own is not known. Raises ValueError for a list that names no videos, and
    FileNotFoundError for a location that does not exist.
    """
    files: dict[Path, None] = {}
    lengths: dict[str, float | None] = {}  # of videos of the web, by address
    for location in (found_address(location, Path()) for location in locations):
        path = Path(location).expanduser()
        if local_path(location) is None:
            lengths[location] = None
        elif path.suffix.lower() in SUFFIXES and path.is_file():
            for item in (item for items in read_items(path) for item in items if isinstance(item, Item)):
                if (named := local_path(item.address)) is None:
                    lengths[item.address] = item.seconds
                else:
                    files |= dict.fromkeys(video_files([str(path.parent / Path(named).expanduser())], FoundFiles()))
        else:
            files |= dict.fromkeys(video_files([location], FoundFiles()))
    sidecars = SidecarFinder(is_video_name)
    sizes = [seen_now(file, sidecars)["size_bytes"] for file in files]
    known = [seconds for _, seconds in media.durations(map(str, files))] + [*lengths.values()]
    seconds = [each or mean_seconds for each in known]
    return Collection(
        videos=len(known),
        seconds=sum(seconds),
        video_bytes=None if lengths else sum(sizes),
        web_videos=len(lengths),
        guessed_videos=sum(not each for each in known),
    )


def pending(
    lake: Lake,
    stages: Sequence[StageDefinition],
    units: Mapping[str, int],
    *,
    batches: int,
    mean_seconds: float,
) -> Collection:
    """Returns what is pending in the lake.

    units: pending units by stage. Videos that are not cut yet bring further ones to the stages after it, by the lake's
    means. mean_seconds: length of a video that was registered without one.
    """
    arriving = _arriving(stages, units)
    videos = arriving.get("clips", 0)
    rows = lake.query(statement("corpus/plan_pending")).to_pylist()[0]
    seconds = rows["seconds"] / rows["videos"] if rows["videos"] and rows["seconds"] else mean_seconds
    of_videos = {stage.name for stage in stages if stage.cost.per_video}
    return Collection(
        videos=videos,
        seconds=videos * seconds,
        web_videos=units.get("downloads", 0),
        units={name: number for name, number in units.items() if name not in of_videos},
        videos_by_stage={stage: arriving[stage] for stage in of_videos},
        batches=batches,
    )


def _arriving(stages: Sequence[StageDefinition], units: Mapping[str, int]) -> dict[str, int]:
    """Returns the videos that each stage gets: its own pending ones, and those that are pending before it."""
    stage_of = {table.name: stage.name for stage in stages for table in stage.outputs}
    arriving: dict[str, int] = {}
    for stage in stages:  # each after those whose tables it reads
        before = [arriving[stage_of[table]] for table in stage.inputs if stage_of.get(table, stage.name) != stage.name]
        own = units.get(stage.name, 0) if stage.cost.per_video else 0
        arriving[stage.name] = own + max(before, default=0)
    return arriving
