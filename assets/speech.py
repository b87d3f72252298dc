"""`speech`: what is said in a video, from the subtitles that came with it, or recognised in its sound."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.ingest_batches import ingest_batches
from assets.raw_videos import raw_videos
from assets.sources import sources
from resources.costs import FREE, Cost
from resources.door import stopwatch
from resources.lake import Lake
from resources.media import Media, SpokenVideo
from resources.refresh import Done, Failed, Outcome, Output, Rows, Skipped, Step, Unit, batch_counts_spec, refresh
from resources.samples import rows_sample
from resources.schema import SPEECH
from resources.statements import statement
from resources.transcriber import Transcriber
from resources.video_file import Heard

if TYPE_CHECKING:
    from internvid.speech.cues import Cue
    from internvid.speech.subtitles import Subtitles

RECOGNISED = "speech recognition"  # in the column source; subtitles stand there with their kind
WITHOUT_SUBTITLES = "no subtitles came with it"


def step(transcriber: Transcriber) -> Step:
    """The version names the kinds of subtitles that are taken, and the model that listens where there are none."""
    return Step("speech", "speech_units", (Output(SPEECH, {"": transcriber.version}),), chunk=64)


@dg.asset(
    partitions_def=ingest_batches,
    deps=[sources, raw_videos],
    group_name="speech",
    pool="speech",
    kinds={"lance"},
    check_specs=[batch_counts_spec("speech")],
    description="What is said in a video, cue by cue: its subtitles, else what a model recognises in its sound.",
)
def speech(
    context: dg.AssetExecutionContext, lake: Lake, media: Media, transcriber: Transcriber
) -> Iterator[dg.MaterializeResult]:
    """One row is a cue. Changes when the video, a subtitle file beside it or the transcriber does."""
    yield from refresh(
        context,
        lake,
        step(transcriber),
        lambda units: transcribe(lake, media, transcriber, units),
        sample=lambda table: rows_sample(lake, table, context.partition_key),
    )


def transcribe(lake: Lake, media: Media, transcriber: Transcriber, units: list[Unit]) -> Iterator[Outcome]:
    """Reads the subtitles of all videos, then listens to those that have none."""
    rows = lake.query(statement("operations/spoken_videos"), {"video_ids": [unit.key for unit in units]}).to_pylist()
    known = {row["video_id"]: row for row in rows}
    videos = [_spoken(known[unit.key]) for unit in units]
    without = []
    for unit, (video, found) in zip(units, media.subtitles(videos, transcriber.subtitles), strict=True):
        is_unreadable = isinstance(found, ValueError)  # the subtitles, or the video: then it cannot be heard either
        if found is None or (is_unreadable and transcriber.is_set):
            without.append((unit, video))
        elif isinstance(found, BaseException):
            yield Failed(unit, found)
        else:
            yield _read(unit, found)
    has_sound = {unit.key: known[unit.key]["audio_codec"] is not None for unit, _ in without}
    for unit, _ in without:
        if not transcriber.is_set:
            yield Skipped(unit, "NoSubtitles", f"{WITHOUT_SUBTITLES}, and no model listens")
        elif not has_sound[unit.key]:
            yield Skipped(unit, "NoSound", f"{WITHOUT_SUBTITLES}, and it has no sound")
    if transcriber.is_set:
        yield from _listen(media, transcriber, [(unit, video) for unit, video in without if has_sound[unit.key]])


def _listen(media: Media, transcriber: Transcriber, videos: list[tuple[Unit, SpokenVideo]]) -> Iterator[Outcome]:
    """Children decode the sound of the next videos while the model listens to one."""
    listened = media.listen([video for _, video in videos], only_speech=transcriber.listens_to_speech_only)
    for (unit, video), (_, heard) in zip(videos, listened, strict=True):
        if isinstance(heard, BaseException):
            yield Failed(unit, heard)
        else:
            yield _recognised(transcriber, unit, video, heard)
            heard.remove()


def _spoken(row: dict[str, Any]) -> SpokenVideo:
    return SpokenVideo(row["path"], row["source"], row["seconds"], tuple(row["subtitles"]))


def _read(unit: Unit, found: "Subtitles") -> Outcome:
    of = {"language": found.language, "source": f"subtitles:{found.kind}", "origin": found.origin}
    return _done(unit, found.cues, of | {"model": None, "revision": None})


def _recognised(transcriber: Transcriber, unit: Unit, video: SpokenVideo, heard: Heard) -> Outcome:
    listening = Cost(video_seconds=video.seconds)
    if heard.window_count == 0:
        return Skipped(unit, "NoSpeech", f"{WITHOUT_SUBTITLES}, and nobody is heard to speak", cost=listening)
    asked = replace(listening, model=transcriber.model, device=transcriber.device_name)
    with stopwatch() as watch:
        try:
            said = transcriber.recognise(heard.windows())
        except Exception as error:  # noqa: BLE001 - the boundary: whatever a video's sound raises is its failure
            return Failed(unit, error, asked)
    cost = replace(asked, model_seconds=watch.seconds, output_tokens=said.output_tokens)
    if not said.cues:
        return Skipped(unit, "NoSpeech", f"{WITHOUT_SUBTITLES}, and no words are recognised in it", cost=cost)
    by = {"model": transcriber.model, "revision": transcriber.revision}
    return _done(unit, said.cues, {"language": said.language, "source": RECOGNISED, "origin": None} | by, cost)


def _done(unit: Unit, cues: "list[Cue]", of_all: dict[str, Any], cost: Cost = FREE) -> Done:
    rows = [
        {
            "cue_id": f"{unit.key}/{number:05d}",
            "video_id": unit.key,
            "start_seconds": round(cue.start_seconds, 3),
            "end_seconds": round(cue.end_seconds, 3),
            "text": cue.text,
        }
        | of_all
        for number, cue in enumerate(cues)
    ]
    return Done(unit, (Rows.of(rows, SPEECH),), cost=cost)
