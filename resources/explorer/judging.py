"""People's judgements: samples drawn for them, what they said, and how far they have come.

A sample is stratified: at least two clips of each stratum, the others in proportion to its clips, and the order of
review is random. So the first 30 judgements of a sample of 100 already stand for the whole, with wider intervals. Each
row of a sample has the clips of its stratum, by which `sql/statistics/judged_precision.sql` weights it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from resources.lake.schema import JUDGEMENTS, REVIEW_SAMPLES
from resources.lake.statements import statement

if TYPE_CHECKING:
    import duckdb

    from resources.lake.store import Lake

VERDICTS = {
    "caption": ("good", "partly", "wrong"),
    "cut": ("good", "bad"),
    "safety": ("safe", "unsafe"),
    "comparison": ("a", "b", "equal"),
}
STRATA = ("category", "duration", "score", "model")
MAX_CLIPS = 1_000  # of a sample
MIN_OF_STRATUM = 2  # clips: of one alone nobody can say how much its stratum varies
REST = "the rest"  # the stratum of all that are too small to be sampled by themselves
SCORES_READ = 100_000  # for the thirds of a score
MEMORY_LIMIT = "1GB"  # of a draw; what exceeds it goes to files in the temporary folder
JUDGE_CHARACTERS = 80


@dataclass(frozen=True)
class Draw:
    """What is drawn for review.

    clips: how many. strata_by: names of STRATA. score: that strata differ in. subset: clips of it alone.
    snapshot: for a comparison, the one with the captions a; None: a review of the lake as it is.
    other_snapshot: the one with the captions b; None: the lake as it is.
    """

    clips: int
    seed: int = 42
    strata_by: tuple[str, ...] = STRATA
    score: str = "aesthetics"
    subset: str | None = None
    snapshot: str | None = None
    other_snapshot: str | None = None

    @property
    def kind(self) -> str:
        return "review" if self.snapshot is None else "comparison"


@dataclass(frozen=True)
class Place:
    """A clip of a sample, in the order of review. position: from 1."""

    position: int
    clip_id: str
    is_judged: bool


class NothingToDraw(ValueError):
    """No clip has what the sample needs. The message says what."""


class NotJudgeable(ValueError):
    """The clip or its caption is gone, or the verdict is none. The message says which."""


# --- samples ------------------------------------------------------------------------------------------------------


def draw(lake: Lake, wanted: Draw, *, drawn_by: str) -> str:
    """Draws a sample and writes it. Returns its name.

    Raises ValueError for a draw that cannot be, NothingToDraw where no clip fits.
    """
    if not 1 <= wanted.clips <= MAX_CLIPS:
        raise ValueError(f"a sample has 1 to {MAX_CLIPS:,} clips, not {wanted.clips:,}")
    if unknown := set(wanted.strata_by) - set(STRATA):
        raise ValueError(f"there are no strata by {', '.join(sorted(unknown))}: there are {', '.join(STRATA)}")
    with _population(lake, wanted) as connection:
        values = {
            "subset": wanted.subset,
            "strata_by": list(wanted.strata_by),
            "score": wanted.score,
            "thirds": _thirds(connection, lake, wanted),
        }
        clips_of_strata = dict(_rows(connection, _composed(wanted, "strata"), values))
        if not clips_of_strata:
            raise NothingToDraw(_why_empty(wanted))
        sizes = merged(clips_of_strata, wanted.clips // MIN_OF_STRATUM)
        drawn_of_strata = allocation(sizes, wanted.clips)
        of_draw = {
            "kept": [stratum for stratum in sizes if stratum != REST],
            "rest": REST,
            "seed": wanted.seed,
            "clips": max(drawn_of_strata.values()),
        }
        drawn = dict(_rows(connection, _composed(wanted, "drawn"), values | of_draw))
    now = datetime.now(UTC)
    sample = f"{wanted.kind}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    clips = [(stratum, clip) for stratum, count in drawn_of_strata.items() for clip in drawn[stratum][:count]]
    rows = [
        {
            "sample_clip_id": f"{clip['clip_id']}/{sample}",
            "sample": sample,
            "kind": wanted.kind,
            "clip_id": clip["clip_id"],
            "video_id": clip["video_id"],
            "position": position,
            "stratum": stratum,
            "stratum_clips": sizes[stratum],
            "population_clips": sum(sizes.values()),
            "strata_by": ",".join(wanted.strata_by),
            "subset": wanted.subset,
            "seed": wanted.seed,
            "snapshot": wanted.snapshot,
            "other_snapshot": wanted.other_snapshot,
            "drawn_by": drawn_by[:JUDGE_CHARACTERS],
            "written_at": now,
        }
        for position, (stratum, clip) in enumerate(sorted(clips, key=lambda clip: _order(wanted, clip[1])), start=1)
    ]
    lake.upsert(REVIEW_SAMPLES.name, pa.Table.from_pylist(rows, schema=REVIEW_SAMPLES.arrow))
    return sample


def merged(clips_of_strata: Mapping[str, int], max_strata: int) -> dict[str, int]:
    """Returns the strata with their clips, the smallest made one where there are more than `max_strata`."""
    by_size = sorted(clips_of_strata.items(), key=lambda stratum: (-stratum[1], stratum[0]))
    if len(by_size) <= max(max_strata, 1):
        return dict(by_size)
    kept = max(max_strata, 1) - 1
    return dict(by_size[:kept]) | {REST: sum(clips for _, clips in by_size[kept:])}


def allocation(sizes: Mapping[str, int], clips: int) -> dict[str, int]:
    """Returns the clips to draw of each stratum: MIN_OF_STRATUM, or all it has, and the others in proportion.

    sizes: clips of each stratum. clips: to draw in all, fewer where there are not so many. Proportion is by largest
    remainders among the strata that have clips left.
    """
    allotted = {stratum: min(size, MIN_OF_STRATUM) for stratum, size in sizes.items()}
    while sum(allotted.values()) > clips:  # a draw of fewer clips than two a stratum
        allotted[max(allotted, key=lambda stratum: (allotted[stratum], -sizes[stratum]))] -= 1
    total = sum(sizes.values())
    for _ in range(min(clips, total) - sum(allotted.values())):
        # The stratum that is furthest below its share.
        open_strata = [stratum for stratum in sizes if allotted[stratum] < sizes[stratum]]
        nearest = max(open_strata, key=lambda stratum: clips * sizes[stratum] / total - allotted[stratum])
        allotted[nearest] += 1
    return allotted


def samples(lake: Lake, judge: str) -> list[dict[str, Any]]:
    """Returns the samples, the latest first, with the number of their clips that were judged."""
    return lake.query(statement("judging/samples"), {"judge": judge}).to_pylist()


def places(lake: Lake, sample: str, judge: str) -> list[Place]:
    """Returns the clips of the sample in the order of review; none for an unknown one."""
    rows = lake.query(statement("judging/places"), {"sample": sample, "judge": judge}).to_pylist()
    return [Place(**row) for row in rows]


@contextmanager
def _population(lake: Lake, wanted: Draw) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens what a draw reads. Raises NothingToDraw for a snapshot that is not there."""
    tables = ["clips", "raw_videos", "downloads", "clip_scores", "subsets", "clip_captions"]
    with lake.connect(tables, memory_limit=MEMORY_LIMIT) as connection:
        if wanted.kind == "comparison":
            known = lake.tags()
            for snapshot in (wanted.snapshot, wanted.other_snapshot):
                if snapshot is not None and snapshot not in known:
                    raise NothingToDraw(f"there is no snapshot {snapshot!r}")
            connection.register("captions_a", lake.dataset("clip_captions", wanted.snapshot))
            connection.register("captions_b", lake.dataset("clip_captions", wanted.other_snapshot))
        yield connection


def _composed(wanted: Draw, name: str) -> str:
    """Returns the statement of that name over the population and its strata."""
    population = statement("judging/captioned" if wanted.kind == "review" else "judging/compared")
    return (
        f"with population as (\n{population}\n), stratified as (\n{statement('judging/stratified')}\n)\n"
        f"{statement(f'judging/{name}')}"
    )


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, object]) -> list[tuple]:
    (prepared,) = connection.extract_statements(sql)
    return connection.execute(sql, {name: values[name] for name in prepared.named_parameters}).fetchall()


def _thirds(connection: duckdb.DuckDBPyConnection, lake: Lake, wanted: Draw) -> list[float] | None:
    if "score" not in wanted.strata_by:
        return None
    every = max(1, lake.dataset("clips").count_rows() // SCORES_READ)
    ((thirds,),) = _rows(connection, statement("judging/thirds"), {"score": wanted.score, "every": every})
    return thirds


def _order(wanted: Draw, clip: Mapping[str, str]) -> str:
    return hashlib.md5(f"order/{wanted.seed}/{clip['clip_id']}".encode(), usedforsecurity=False).hexdigest()


def _why_empty(wanted: Draw) -> str:
    of_subset = f" in the subset {wanted.subset}" if wanted.subset else ""
    if wanted.kind == "review":
        return f"no clip has a caption{of_subset}"
    return (
        f"no clip has another caption in {wanted.other_snapshot or 'the lake now'} than in {wanted.snapshot}{of_subset}"
    )


# --- judgements ---------------------------------------------------------------------------------------------------


def record(
    lake: Lake,
    clip_id: str,
    verdicts: Mapping[str, str],
    *,
    judge: str,
    sample: str | None = None,
    shown_digest: str | None = None,
) -> list[str]:
    """Appends what the judge says of the clip's caption, cut and safety, in one commit. Returns the ids of the rows.

    verdicts: what -> verdict, of VERDICTS, without a comparison. shown_digest: of the caption that the judge saw; None:
    the present one. Raises NotJudgeable, also where the caption is another one by now.
    """
    _check(verdicts, ("caption", "cut", "safety"))
    clip = _row_of(lake, "clips", clip_id, ("video_id", "version", "digest"))
    caption = _row_of(lake, "clip_captions", clip_id, ("model", "digest"))
    if clip is None:
        raise NotJudgeable(f"the clip {clip_id} is gone")
    if "caption" in verdicts and caption is None:
        raise NotJudgeable(f"the clip {clip_id} has no caption any more")
    if shown_digest is not None and shown_digest != ((caption or {}).get("digest") or ""):
        raise NotJudgeable("the clip was captioned again since you saw it: look at the new caption")
    judged = {
        "caption": ((caption or {}).get("model"), (caption or {}).get("digest")),
        "cut": (clip["version"], clip["digest"]),
        "safety": (None, clip["digest"]),
    }
    rows = [
        {"what": what, "verdict": verdict, "model": judged[what][0], "judged_digest": judged[what][1]}
        for what, verdict in verdicts.items()
    ]
    return _append(lake, clip_id, clip["video_id"], rows, judge=judge, sample=sample)


def caption_digest(lake: Lake, clip_id: str) -> str | None:
    """Returns the digest of the clip's present caption; None where it has none."""
    caption = _row_of(lake, "clip_captions", clip_id, ("digest",))
    return caption["digest"] if caption else None


def record_comparison(
    lake: Lake, pair: Pair, chosen: str, *, judge: str, sample: str, shown_digest: str | None = None
) -> list[str]:
    """Appends which caption of a pair the judge prefers. chosen: first, second or equal, as they were shown.

    shown_digest: of the pair that the judge saw; None: this one. Raises NotJudgeable, also where it was another one.
    """
    if shown_digest is not None and shown_digest != pair.digest:
        raise NotJudgeable("the clip was captioned again since you saw it: look at the new caption")
    second = "b" if pair.shown_first == "a" else "a"
    try:
        verdict = {"first": pair.shown_first, "second": second, "equal": "equal"}[chosen]
    except KeyError:
        raise NotJudgeable(f"{chosen!r} is none of first, second, equal") from None
    row = {
        "what": "comparison",
        "verdict": verdict,
        "model": pair.model_a,
        "other_model": pair.model_b,
        "judged_digest": pair.digest,
        "shown_first": pair.shown_first,
    }
    return _append(lake, pair.clip_id, pair.video_id, [row], judge=judge, sample=sample)


def undo(lake: Lake, *, judge: str, sample: str | None, clip_id: str | None = None) -> str | None:
    """Removes what the judge said last in this sample. Returns the clip; None where there is nothing.

    sample: None: outside of samples. clip_id: only of this clip.
    """
    values = {"judge": judge, "sample": sample, "clip_id": clip_id}
    rows = lake.query(statement("judging/last_judgement"), values).to_pylist()
    if not rows:
        return None
    lake.delete(JUDGEMENTS.name, [row["judgement_id"] for row in rows])
    return rows[0]["clip_id"]


def judgements_of(lake: Lake, clip_id: str) -> list[dict[str, Any]]:
    """Returns the judgements about a clip, the latest first."""
    return lake.query(statement("judging/of_clip"), {"clip_id": clip_id}).to_pylist()


def _check(verdicts: Mapping[str, str], kinds: Sequence[str]) -> None:
    if not verdicts:
        raise NotJudgeable("nothing was judged")
    for what, verdict in verdicts.items():
        if what not in kinds or verdict not in VERDICTS[what]:
            raise NotJudgeable(f"{verdict!r} is no verdict on {what!r}")


def _append(
    lake: Lake, clip_id: str, video_id: str, rows: list[dict[str, Any]], *, judge: str, sample: str | None
) -> list[str]:
    judge = judge.strip()[:JUDGE_CHARACTERS]
    if not judge:
        raise NotJudgeable("a judgement needs the name of its judge")
    now = datetime.now(UTC)
    about = {"clip_id": clip_id, "video_id": video_id, "sample": sample, "judge": judge, "written_at": now}
    made = [row | about | {"judgement_id": f"{clip_id}/{secrets.token_hex(8)}"} for row in rows]
    lake.upsert(JUDGEMENTS.name, pa.Table.from_pylist(made, schema=JUDGEMENTS.arrow))
    return [row["judgement_id"] for row in made]


def _row_of(lake: Lake, table: str, clip_id: str, columns: Sequence[str]) -> dict[str, Any] | None:
    rows = lake.known(table, [clip_id], columns).to_pylist()
    return rows[0] if rows else None


# --- two captions of a clip ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """Two captions of a clip. shown_first: a or b, by chance for each judge, and the same when asked again."""

    clip_id: str
    video_id: str
    caption_a: str
    model_a: str
    digest_a: str
    caption_b: str
    model_b: str
    digest_b: str
    shown_first: str

    @property
    def digest(self) -> str:
        """Of both captions."""
        return f"{self.digest_a}/{self.digest_b}"

    @property
    def as_shown(self) -> tuple[str, str]:
        """The captions in the order in which they are shown."""
        captions = self.caption_a, self.caption_b
        return captions if self.shown_first == "a" else captions[::-1]


def pair_of(lake: Lake, sample: str, clip_id: str, judge: str) -> Pair | None:
    """Returns the two captions of a clip of a comparison; None where one of them is gone."""
    rows = lake.known(REVIEW_SAMPLES.name, [f"{clip_id}/{sample}"], ("snapshot", "other_snapshot")).to_pylist()
    if not rows:
        return None
    a, b = (_caption_at(lake, clip_id, snapshot) for snapshot in (rows[0]["snapshot"], rows[0]["other_snapshot"]))
    if a is None or b is None:
        return None
    chance = hashlib.md5(f"{sample}/{clip_id}/{judge}".encode(), usedforsecurity=False).digest()[0]
    return Pair(
        clip_id=clip_id,
        video_id=a["video_id"],
        caption_a=a["caption"],
        model_a=a["model"],
        digest_a=a["digest"],
        caption_b=b["caption"],
        model_b=b["model"],
        digest_b=b["digest"],
        shown_first="a" if chance % 2 == 0 else "b",
    )


def _caption_at(lake: Lake, clip_id: str, snapshot: str | None) -> dict[str, Any] | None:
    import pyarrow.compute as pc

    try:
        dataset = lake.dataset("clip_captions", snapshot)
    except ValueError:  # the snapshot was removed
        return None
    columns = ["video_id", "caption", "model", "digest"]
    rows = dataset.scanner(columns=columns, filter=pc.field("clip_id") == clip_id).to_table().to_pylist()
    return rows[0] if rows else None
