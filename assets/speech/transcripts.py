"""`transcripts`: what is said within a clip, and that in English."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from internvid.speech.cues import Cue
from internvid.speech.division import VERSION, words_within
from resources.incremental.costs import FREE, Cost
from resources.incremental.declaration import Configuration, CostDrivers, StageRun, StageScope, stage
from resources.incremental.stage import Done, Failed, Outcome, Rows, Skipped, Unit, together_or_one_by_one
from resources.lake.schema import TRANSCRIPTS
from resources.lake.statements import statement
from resources.lake.store import Lake
from resources.models.provider import stopwatch
from resources.models.translator import Translator, Untranslated

if TYPE_CHECKING:
    from internvid.text.generated import Generated


def configure(scope: StageScope, *, translator: Translator) -> Configuration:
    """What is said in English depends on no translator."""
    versions = {"english": VERSION, "other": f"{VERSION}+{translator.version}"}
    return Configuration((versions,), chunk_size=translator.texts_per_call)


@stage(
    group="speech",
    outputs=(TRANSCRIPTS,),
    configure=configure,
    pool="speech",
    providers=("translator",),
    variants={"other": "translator"},
    samples={TRANSCRIPTS.name: ("text", "language", "english", "source", "clip_id")},
    cost=CostDrivers(requests={"translator": "translated_transcripts"}),
)
def transcripts(run: StageRun, units: list[Unit], *, translator: Translator) -> Iterator[Outcome]:
    """What is said within a clip, in its own language and in English.

    Changes when a cue in it, or the translator of its language, does.
    """
    yield from together_or_one_by_one(units, lambda chunk: divide(run.lake, translator, chunk, run.partition))


def divide(lake: Lake, translator: Translator, units: list[Unit], ingest_batch: str) -> list[Outcome]:
    """A row for each unit, a clip in which words are said."""
    rows = lake.query(
        statement("inputs/cues_of_clips"),
        {"clip_ids": [unit.key for unit in units]},
        tables=["clips", "speech"],
        only={"ingest_batch": ingest_batch},
    ).to_pylist()
    said = {clip_id: _said(list(cues)) for clip_id, cues in groupby(rows, key=lambda row: row["clip_id"])}
    foreign = [unit for unit in units if said[unit.key]["text"] and said[unit.key]["language"] not in (None, "en")]
    english: dict[str, Generated | Exception] = {}
    costs: dict[str, Cost] = {}
    if foreign:
        texts = [(said[unit.key]["text"], said[unit.key]["language"]) for unit in foreign]
        with stopwatch() as watch:
            translated = translator.translate(texts)
        english = dict(zip((unit.key for unit in foreign), translated, strict=True))
        costs = {key: _cost(translator, watch.seconds / len(foreign), answer) for key, answer in english.items()}
    return [
        _outcome(translator, unit, said[unit.key], english.get(unit.key), costs.get(unit.key, FREE)) for unit in units
    ]


def _said(cues: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The words within the clip that the cues overlap, and of which language and origin they are."""
    parts = []
    for cue in cues:
        whole = Cue(cue["start_seconds"], cue["end_seconds"], cue["text"])
        if part := words_within(whole, cue["clip_start_seconds"], cue["clip_end_seconds"]):
            parts.append(part)
    of = {name: cues[0][name] for name in ("language", "source", "model", "revision")}
    return {"text": " ".join(parts), "cues": len(parts), **of}


def _cost(translator: Translator, seconds: float, answer: "Generated | Exception") -> Cost:
    if not translator.is_enabled:
        return FREE
    return Cost.of(translator, seconds, said=None if isinstance(answer, Exception) else answer)


def _outcome(
    translator: Translator, unit: Unit, said: dict[str, Any], english: "Generated | Exception | None", cost: Cost
) -> Outcome:
    if not said["text"]:
        return Skipped(unit, "NothingToDo", "no speech in it")
    if isinstance(english, Exception) and not isinstance(english, Untranslated):
        return Failed(unit, english, cost)
    row = {"clip_id": unit.key, "video_id": unit.key.split("_")[0], **said, "english": None, "why_no_english": None}
    by: dict[str, str | None] = {"translator": None, "translator_revision": None}
    if said["language"] == "en":
        row["english"] = said["text"]
    elif said["language"] is None:
        row["why_no_english"] = "its language could not be told"
    elif isinstance(english, Untranslated):
        row["why_no_english"] = str(english)
    elif english is not None:
        row["english"] = english.text
        by = {"translator": translator.model, "translator_revision": translator.revision}
    return Done(unit, (Rows.of([row | by], TRANSCRIPTS),), cost=cost)
