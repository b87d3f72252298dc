"""`speech`: the speech of a video as timed text, from its subtitles or by speech recognition."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from resources.incremental import attempts
from resources.incremental.attempts import Unusable
from resources.incremental.costs import FREE, Cost
from resources.incremental.declaration import Configuration, CostDrivers, StageRun, StageScope, stage
from resources.incremental.stage import Done, Failed, Outcome, Rows, Skipped, Unit
from resources.lake.schema import SPEECH
from resources.lake.statements import statement
from resources.media.store import Media, SpokenVideo
from resources.media.video_file import Heard
from resources.models.provider import stopwatch
from resources.models.transcriber import Transcriber

if TYPE_CHECKING:
    from internvid.speech.cues import Cue
    from internvid.speech.repetition import Repeated
    from internvid.speech.subtitles import Subtitles

WINDOWS_STAGE = "speech_windows"  # in attempts: windows of sound in which a model wrote what nobody says
RECOGNISED = "speech recognition"  # in the column source; subtitles stand there with their kind
WITHOUT_SUBTITLES = "no subtitles came with it"
SUBTITLES_STAGE = "subtitles"  # in attempts: what could not be read of subtitles, by video, where its speech is there


def configure(scope: StageScope, *, transcriber: Transcriber, media: Media) -> Configuration:
    """The version names the accepted kinds of subtitles, and the model that transcribes videos without subtitles."""
    return Configuration(({"": transcriber.version},), is_divisible=True)


@stage(
    group="speech",
    outputs=(SPEECH,),
    configure=configure,
    pool="speech",
    kinds=("lance", "ffmpeg"),
    providers=("transcriber",),
    resources=("media",),
    variants={},  # the model is loaded only when a video without subtitles is met
    samples={SPEECH.name: ("text", "start_seconds", "end_seconds", "language", "source", "video_id")},
    cost=CostDrivers(per_video=True, requests={"transcriber": "unsubtitled_videos"}),
    workers="gpu",
)
def speech(run: StageRun, units: list[Unit], *, transcriber: Transcriber, media: Media) -> Iterator[Outcome]:
    """The speech of a video, cue by cue: from its subtitles, else transcribed by a model.

    Changes when the video, a subtitle file beside it or the transcriber does.
    """
    yield from transcribe(run, media, transcriber, units)


def transcribe(run: StageRun, media: Media, transcriber: Transcriber, units: list[Unit]) -> Iterator[Outcome]:
    """Reads the subtitles of all videos, then transcribes the videos that have none."""
    _forget_windows(run, units)
    rows = run.query(statement("inputs/spoken_videos"), {"video_ids": [unit.key for unit in units]}).to_pylist()
    known = {row["video_id"]: row for row in rows}
    videos = [_spoken(known[unit.key]) for unit in units]
    without = []
    problems: dict[str, Unusable | None] = {}
    for unit, (video, subtitles) in zip(units, media.subtitles(videos, transcriber.subtitles), strict=True):
        is_unreadable = isinstance(subtitles, ValueError)  # the subtitles, or the video: then it cannot be heard either
        problems[unit.key] = _problem(unit, subtitles) if transcriber.is_enabled or not is_unreadable else None
        if subtitles is None or (is_unreadable and transcriber.is_enabled):
            without.append((unit, video))
        elif isinstance(subtitles, BaseException):
            yield Failed(unit, subtitles)
        else:
            yield _read(unit, subtitles)
    _note_problems(run, problems)
    has_sound = {unit.key: known[unit.key]["audio_codec"] is not None for unit, _ in without}
    for unit, _ in without:
        if not transcriber.is_enabled:
            yield Skipped(unit, "NoSubtitles", f"{WITHOUT_SUBTITLES}, and no model listens")
        elif not has_sound[unit.key]:
            yield Skipped(unit, "NoSound", f"{WITHOUT_SUBTITLES}, and it has no sound")
    if transcriber.is_enabled:
        yield from _listen(run, media, transcriber, [(unit, video) for unit, video in without if has_sound[unit.key]])


def _problem(unit: Unit, subtitles: "Subtitles | BaseException | None") -> Unusable | None:
    """Returns what could not be read of a video's subtitles, for a row of attempts of its own; None if nothing."""
    if isinstance(subtitles, BaseException):
        why, error_class = str(subtitles), type(subtitles).__name__
    elif subtitles is not None and subtitles.problems:
        why, error_class = "; ".join(subtitles.problems), "UnreadCues"
    else:
        return None
    return Unusable(unit.key, unit.label, error_class, why, unit.partition, unit.provenances[0])


def _note_problems(run: StageRun, problems: dict[str, Unusable | None]) -> None:
    """Writes attempts for subtitles that could not be read, and removes those of subtitles that can be by now."""
    attempts.note(run.lake, SUBTITLES_STAGE, filter(None, problems.values()), run.run_id)
    well = [f"{SUBTITLES_STAGE}/{key}" for key, problem in problems.items() if problem is None]
    run.lake.delete("attempts", well)


def _listen(
    run: StageRun, media: Media, transcriber: Transcriber, videos: list[tuple[Unit, SpokenVideo]]
) -> Iterator[Outcome]:
    """Transcribes videos. Child processes decode the sound of the next videos meanwhile."""
    if videos:
        transcriber.prepare()
    listened = media.listen([video for _, video in videos], only_speech=transcriber.listens_to_speech_only)
    for (unit, video), (_, heard) in zip(videos, listened, strict=True):
        if isinstance(heard, BaseException):
            yield Failed(unit, heard)
        else:
            yield _recognised(run, transcriber, unit, video, heard)
            heard.remove()


def _spoken(row: dict[str, Any]) -> SpokenVideo:
    return SpokenVideo(row["path"], row["source"], row["seconds"], tuple(row["subtitles"]))


def _read(unit: Unit, subtitles: "Subtitles") -> Outcome:
    origin = {"language": subtitles.language, "source": f"subtitles:{subtitles.kind}", "origin": subtitles.origin}
    return _done(unit, subtitles.cues, origin | {"model": None, "revision": None})


def _recognised(run: StageRun, transcriber: Transcriber, unit: Unit, video: SpokenVideo, heard: Heard) -> Outcome:
    listening = Cost(video_seconds=video.seconds)
    if heard.window_count == 0:
        return Skipped(unit, "NoSpeech", f"{WITHOUT_SUBTITLES}, and nobody is heard to speak", cost=listening)
    asked = replace(listening, model=transcriber.model, device=transcriber.device_name)
    with stopwatch() as watch:
        try:
            transcript = transcriber.recognise(heard.windows())
        except Exception as error:  # noqa: BLE001 - the boundary: whatever a video's sound raises is its failure
            return Failed(unit, error, asked)
    cost = replace(
        asked,
        model_seconds=watch.spent.seconds,
        processor_seconds=watch.spent.processor_seconds,
        output_tokens=transcript.output_tokens,
    )
    _note_repeated(run, unit, transcript.repeated)
    if not transcript.cues:
        words = "what is recognised in it is repetition" if transcript.repeated else "no words are recognised in it"
        return Skipped(unit, "NoSpeech", f"{WITHOUT_SUBTITLES}, and {words}", cost=cost)
    origin = {
        "language": transcript.language,
        "source": RECOGNISED,
        "origin": heard.sound,
        "model": transcriber.model,
        "revision": transcriber.revision,
    }
    return _done(unit, transcript.cues, origin, cost)


def _note_repeated(run: StageRun, unit: Unit, repeated: "Sequence[Repeated]") -> None:
    """Writes attempts for the windows of a video whose text was repetition.

    This happens before the cues are committed, so that a run that is killed in between writes them again.
    """
    unusable = [
        Unusable(
            f"{unit.key}/{window.start_seconds:09.3f}",
            f"{unit.label} {window.start_seconds:.1f}-{window.end_seconds:.1f} s",
            "RepeatedText",
            window.why,
            partition=unit.partition,
            provenance=unit.provenances[0],
        )
        for window in repeated
    ]
    attempts.note(run.lake, WINDOWS_STAGE, unusable, run.run_id)


def _forget_windows(run: StageRun, units: list[Unit]) -> None:
    """Removes the attempts of windows of videos that are read or heard again."""
    about = {"stage": WINDOWS_STAGE, "video_ids": [unit.key for unit in units]}
    earlier = run.query(statement("incremental/attempts_of_videos"), about)
    run.lake.delete("attempts", earlier["attempt_id"].to_pylist())


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
