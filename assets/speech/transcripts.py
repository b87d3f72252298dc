"""`transcripts`: the speech within a clip, in its own language and in English."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from internvid.speech.cues import Cue
from internvid.speech.division import VERSION, words_within
from resources.incremental.costs import FREE, Cost, Spent
from resources.incremental.declaration import Configuration, CostDrivers, StageRun, StageScope, stage
from resources.incremental.stage import Done, Failed, Outcome, Rows, Skipped, Unit, together_or_one_by_one
from resources.lake.schema import TRANSCRIPTS
from resources.lake.statements import statement
from resources.models.provider import stopwatch
from resources.models.translator import Translator, Untranslated

if TYPE_CHECKING:
    from internvid.text.generated import Generated


def configure(scope: StageScope, *, translator: Translator) -> Configuration:
    """Transcripts in English do not depend on the translator; the others do."""
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
    workers="gpu",
)
def transcripts(run: StageRun, units: list[Unit], *, translator: Translator) -> Iterator[Outcome]:
    """The speech within a clip, in its own language and in English.

    Changes when a cue in it, or the translator of its language, does.
    """
    yield from together_or_one_by_one(units, lambda chunk: divide(run, translator, chunk))


def divide(run: StageRun, translator: Translator, units: list[Unit]) -> list[Outcome]:
    """Makes the transcript of each unit, a clip with speech."""
    rows = run.query(statement("inputs/cues_of_clips"), {"clip_ids": [unit.key for unit in units]}).to_pylist()
    speech = {clip_id: _speech_within(list(cues)) for clip_id, cues in groupby(rows, key=lambda row: row["clip_id"])}
    foreign = [unit for unit in units if speech[unit.key]["text"] and speech[unit.key]["language"] not in (None, "en")]
    english: dict[str, Generated | Exception] = {}
    costs: dict[str, Cost] = {}
    if foreign:
        texts = [(speech[unit.key]["text"], speech[unit.key]["language"]) for unit in foreign]
        with stopwatch() as watch:
            translated = translator.translate(texts)
        english = dict(zip((unit.key for unit in foreign), translated, strict=True))
        costs = {key: _cost(translator, watch.spent / len(foreign), answer) for key, answer in english.items()}
    return [
        _outcome(translator, unit, speech[unit.key], english.get(unit.key), costs.get(unit.key, FREE)) for unit in units
    ]


def _speech_within(cues: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the words of the cues that lie within the clip, with the language and origin of the first cue."""
    parts = []
    for cue in cues:
        whole = Cue(cue["start_seconds"], cue["end_seconds"], cue["text"])
        if part := words_within(whole, cue["clip_start_seconds"], cue["clip_end_seconds"]):
            parts.append(part)
    origin = {name: cues[0][name] for name in ("language", "source", "model", "revision")}
    return {"text": " ".join(parts), "cues": len(parts), **origin}


def _cost(translator: Translator, spent: Spent, answer: "Generated | Exception") -> Cost:
    if not translator.is_enabled:
        return FREE
    return Cost.of(translator, spent, tokens=None if isinstance(answer, Exception) else answer)


def _outcome(
    translator: Translator, unit: Unit, speech: dict[str, Any], english: "Generated | Exception | None", cost: Cost
) -> Outcome:
    if not speech["text"]:
        return Skipped(unit, "NothingToDo", "no speech in it")
    if isinstance(english, Exception) and not isinstance(english, Untranslated):
        return Failed(unit, english, cost)
    row = {"clip_id": unit.key, "video_id": unit.key.split("_")[0], **speech, "english": None, "why_no_english": None}
    translator_columns: dict[str, str | None] = {"translator": None, "translator_revision": None}
    if speech["language"] == "en":
        row["english"] = speech["text"]
    elif speech["language"] is None:
        row["why_no_english"] = "its language is unknown"
    elif isinstance(english, Untranslated):
        row["why_no_english"] = str(english)
    elif english is not None:
        row["english"] = english.text
        translator_columns = {"translator": translator.model, "translator_revision": translator.revision}
    return Done(unit, (Rows.of([row | translator_columns], TRANSCRIPTS),), cost=cost)
