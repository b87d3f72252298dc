"""`dialogues`: questions and answers about a stretch of a video, each with the clips and the facts behind it."""

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import pyarrow as pa

from internvid.captions.summary import ClipMeasures, TimedCaption
from internvid.dialogue.facts import ClipFacts, Dialogue, stretches
from resources.incremental.costs import Cost, Spent
from resources.incremental.declaration import Configuration, CostDrivers, StageRun, StageScope, stage
from resources.incremental.stage import Done, Failed, Outcome, Rows, Skipped, Unit, together_or_one_by_one
from resources.lake.schema import DIALOGUES
from resources.lake.statements import statement
from resources.models.provider import stopwatch
from resources.models.summariser import Summariser

TEMPLATES, SUMMARISER = "templates", "summariser"  # variants of a unit: who writes
VIDEOS_PER_CALL = 16
MEASURES = ("motion", "stillness", "blackness", "pan_x", "pan_y", "zoom", "moving_share", "mover_x", "mover_y")


def configure(scope: StageScope, *, summariser: Summariser) -> Configuration:
    """The version names who writes: the summariser's model where it writes dialogues, else the templates."""
    writer = SUMMARISER if summariser.writes_dialogues else TEMPLATES
    parameters = pa.table({"writer": [writer]})
    return Configuration(({writer: summariser.dialogue_version},), VIDEOS_PER_CALL, parameters=parameters)


@stage(
    group="dialogue",
    outputs=(DIALOGUES,),
    configure=configure,
    pool="caption",
    kinds=("lance",),
    providers=("summariser",),
    variants={SUMMARISER: "summariser"},
    samples={DIALOGUES.name: ("turns", "turn_count", "start_seconds", "dialogue_id")},
    cost=CostDrivers(per_video=True, requests={"summariser": "videos"}),
    workers="cpu",
)
def dialogues(run: StageRun, units: list[Unit], *, summariser: Summariser) -> Iterator[Outcome]:
    """A dialogue about a stretch of a video: several questions, each with an answer and the clips that show it.

    Written from facts of the lake by templates, or by the summariser's model where it is on a server; an answer that
    names no clip of the video is refused. Changes when a clip, a caption or what is said does.
    """
    yield from together_or_one_by_one(units, lambda chunk: _written(run, summariser, chunk))


def _written(run: StageRun, summariser: Summariser, units: list[Unit]) -> list[Outcome]:
    """Writes the dialogues about each unit, a video, in one call."""
    facts = facts_of_videos(run, [unit.key for unit in units])
    about = {unit.key: list(stretches(facts[unit.key])) for unit in units}
    with stopwatch() as watch:
        written = iter(summariser.write_dialogues([clips for unit in units for clips in about[unit.key]]))
    spent = watch.spent / len(units)
    return [_outcome(summariser, unit, [(clips, next(written)) for clips in about[unit.key]], spent) for unit in units]


def facts_of_videos(run: StageRun, video_ids: list[str]) -> dict[str, list[ClipFacts]]:
    """Returns the captioned clips of each video, in order of time."""
    parameters = {"video_ids": video_ids}
    captions = run.query(statement("inputs/fine_captions_of_videos"), parameters).to_pylist()
    frames = {
        clip_id: tuple(
            TimedCaption(row["seconds"], row["scale"], row["caption"], row["evidence"], row["model"]) for row in rows
        )
        for clip_id, rows in groupby(captions, key=itemgetter("clip_id"))
    }
    facts: dict[str, list[ClipFacts]] = {video_id: [] for video_id in video_ids}
    for clip in run.query(statement("inputs/clips_to_talk_about"), parameters).to_pylist():
        measures = ClipMeasures(clip["end_seconds"] - clip["start_seconds"], *(clip[name] for name in MEASURES))
        facts[clip["video_id"]].append(
            ClipFacts(
                clip_id=clip["clip_id"],
                start_seconds=clip["start_seconds"],
                end_seconds=clip["end_seconds"],
                caption=clip["caption"],
                caption_model=clip["caption_model"],
                measures=measures,
                boundary=clip["boundary"],
                frames=frames.get(clip["clip_id"], ()),
                speech=clip["speech"] or None,
            )
        )
    return facts


def _outcome(
    summariser: Summariser, unit: Unit, written: list[tuple[list[ClipFacts], Dialogue | Exception]], spent: Spent
) -> Outcome:
    """Returns the rows of a video; its first error where there is one, for a part of them would pass as all."""
    error = next((dialogue for _, dialogue in written if isinstance(dialogue, Exception)), None)
    if error is not None:
        return Failed(unit, error, Cost.of(summariser, spent))
    rows = [
        _row(summariser, unit.key, number, clips, dialogue)
        for number, (clips, dialogue) in enumerate(written)
        if isinstance(dialogue, Dialogue) and dialogue.turns
    ]
    if not rows:
        return Skipped(unit, "NothingClear", "no fact of its clips is clear enough to be asked for")
    cost = Cost.of(summariser, spent, tokens=_tokens(dialogue for _, dialogue in written))
    return Done(unit, (Rows.of(rows, DIALOGUES),), cost=cost)


def _tokens(written: Iterable[Dialogue | Exception]) -> Dialogue:
    """Returns a dialogue without turns that counts the tokens of all."""
    dialogues = [dialogue for dialogue in written if isinstance(dialogue, Dialogue)]
    return Dialogue(
        [],
        prompt_tokens=sum(dialogue.prompt_tokens or 0 for dialogue in dialogues),
        output_tokens=sum(dialogue.output_tokens or 0 for dialogue in dialogues),
    )


def _row(
    summariser: Summariser, video_id: str, number: int, clips: list[ClipFacts], dialogue: Dialogue
) -> dict[str, Any]:
    return {
        "dialogue_id": f"{video_id}/{number:05d}",
        "video_id": video_id,
        "start_seconds": clips[0].start_seconds,
        "end_seconds": clips[-1].end_seconds,
        "clip_ids": [clip.clip_id for clip in clips],
        "turns": json.dumps([turn.as_dict() for turn in dialogue.turns], ensure_ascii=False),
        "turn_count": len(dialogue.turns),
        "model": summariser.dialogue_model,
        "revision": summariser.revision if summariser.writes_dialogues else None,
        "status": dialogue.status,
        "prompt_tokens": dialogue.prompt_tokens,
        "output_tokens": dialogue.output_tokens,
    }
