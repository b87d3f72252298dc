"""Search for clips: by the words of their captions (BM25), by their vectors, and by both rankings joined.

All of it through pylance, as everything else in the lake: lancedb reads the same tables, but would add its own engine
and more than a second of import to one search. `Lake.lancedb` is for whoever prefers its interface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from internvid.text.search_terms import asked_terms
from resources.lake.lookup import rows_with_keys
from resources.lake.schema import CLIP_CAPTIONS, CLIP_EMBEDDINGS, CLIP_THINGS, TABLES
from resources.lake.vector_index import nearest

if TYPE_CHECKING:
    import lance
    import numpy as np
    from lance.query import FullTextQuery

RANKED_CLIPS = pa.schema(
    [(name, pa.string()) for name in ("clip_id", "video_id", "caption", "model")] + [("score", pa.float64())]
)
CANDIDATES = 100  # of each ranking, before the two are joined
TERMS = "caption_terms"  # the column that is indexed
RANK_OFFSET = 10  # of reciprocal rank fusion; with the published 60, a hundred ranks differ too little to be weighed


def search_captions(captions: lance.LanceDataset, text: str, limit: int) -> pa.Table:
    """Returns the clips whose captions fit the words best, best first, as RANKED_CLIPS; score is BM25's.

    captions: the table clip_captions, with its index. Text without a word finds nothing.
    """
    rows = captions.to_table(
        columns=["clip_id", "video_id", "caption", "model", "_score"],
        full_text_query=words_query(text, TERMS),
        limit=limit,
    )
    return rows.rename_columns(RANKED_CLIPS.names).cast(RANKED_CLIPS)


def words_query(text: str, column: str) -> FullTextQuery:
    """Returns Lance's query for the words of any text in a column of terms that has an index."""
    from lance.query import BooleanQuery, FullTextOperator, MatchQuery, Occur

    # A MatchQuery takes any text as words; a bare string would be parsed, and quotes in it could fail.
    asked = [
        MatchQuery(terms, column, operator=FullTextOperator.AND if needs_all else FullTextOperator.OR)
        for terms, needs_all in asked_terms(text)
    ] or [MatchQuery("", column)]
    return asked[0] if len(asked) == 1 else BooleanQuery([(Occur.SHOULD, part) for part in asked])


def search_vectors(
    embeddings: lance.LanceDataset, vector: np.ndarray, limit: int, only: Sequence[str] | None = None
) -> pa.Table:
    """Returns clip_id and _distance of the clips whose frames' vector is nearest, best first.

    embeddings: the table clip_embeddings or clip_things, by whose model the vector is. vector: [VECTOR_SIZE] float32.
    only: ids of the clips that are compared; None: all.
    """
    import pyarrow.compute as pc

    chosen = None if only is None else pc.field("clip_id").isin(pa.array(only, pa.string()))
    return embeddings.to_table(
        columns=["clip_id", "_distance"], nearest=nearest("vector", vector, limit), filter=chosen, prefilter=True
    )


@dataclass(frozen=True)
class ExampleVector:
    """An example's vector [VECTOR_SIZE] float32. table: whose vectors it is compared with. weight: of the ranking."""

    values: np.ndarray
    table: str = CLIP_EMBEDDINGS.name
    weight: float = 1.0


def vectors_of(dataset: Callable[[str], lance.LanceDataset], clip_id: str, model_weight: float) -> list[ExampleVector]:
    """Returns the clip's vector by the classifier, with the weight 1, and by the active model; those that there are.

    dataset: opens a table of the lake. model_weight: of the active model's ranking beside the classifier's, 0 to 1.
    """
    import numpy as np

    examples: list[ExampleVector] = []
    for table, weight in ((CLIP_THINGS.name, 1.0), (CLIP_EMBEDDINGS.name, model_weight)):
        rows = rows_with_keys(dataset(table), TABLES[table], pa.array([clip_id], pa.string()), ["vector"])
        if rows.num_rows and (weight or not examples):
            examples.append(ExampleVector(np.array(rows["vector"][0].as_py(), np.float32), table, weight or 1.0))
    return examples


def clips_like(
    dataset: Callable[[str], lance.LanceDataset], clip_id: str, limit: int, model_weight: float
) -> list[str] | None:
    """Returns the ids of the other clips that are nearest to a clip, best first; None where it has no vector.

    dataset, model_weight: as of `vectors_of`.
    """
    examples = vectors_of(dataset, clip_id, model_weight)
    near = rank_like(dataset, examples, max(CANDIDATES, limit + 1))
    return [near_id for near_id in near if near_id != clip_id][:limit] if examples else None


def rank_like(
    dataset: Callable[[str], lance.LanceDataset],
    examples: Iterable[ExampleVector],
    limit: int,
    only: Sequence[str] | None = None,
) -> list[str]:
    """Returns the ids of the clips that are nearest by each example's vectors, the rankings joined, best first.

    limit: clips of each ranking. only: as of `search_vectors`.
    """
    rankings = (
        (example.weight, search_vectors(dataset(example.table), example.values, limit, only)["clip_id"].to_pylist())
        for example in examples
    )
    return list(joined_scores(rankings))


def fused(captions: lance.LanceDataset, rankings: Sequence[tuple[float, pa.Table]], limit: int) -> pa.Table:
    """Joins rankings by reciprocal rank fusion (Cormack et al. 2009): score is the sum of weight / (10 + rank).

    captions: the table clip_captions, from which the result's columns are read; clips without a caption are left out.
    rankings: (weight, table with clip_id, best first). Returns RANKED_CLIPS, best first.
    """
    scores = joined_scores((weight, ranking["clip_id"].to_pylist()) for weight, ranking in rankings)
    best = list(scores)[:limit]
    columns = ["video_id", "caption", "model"]
    captioned = rows_with_keys(captions, CLIP_CAPTIONS, pa.array(best, pa.string()), columns).to_pylist()
    by_id = {row["clip_id"]: row for row in captioned}
    rows = [by_id[clip_id] | {"score": scores[clip_id]} for clip_id in best if clip_id in by_id]
    return pa.Table.from_pylist(rows, schema=RANKED_CLIPS)


def joined_scores(rankings: Iterable[tuple[float, Sequence[str]]]) -> dict[str, float]:
    """Returns each clip's score by reciprocal rank fusion, best first. rankings: (weight, clip_ids, best first)."""
    scores: dict[str, float] = {}
    for weight, clip_ids in rankings:
        for rank, clip_id in enumerate(clip_ids, start=1):
            scores[clip_id] = scores.get(clip_id, 0.0) + weight / (RANK_OFFSET + rank)
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))
