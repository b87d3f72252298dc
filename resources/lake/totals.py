"""Totals: what statistics are computed from. Each is a statement of `sql/totals/`, and a view beside the lake's tables.

The numbers of a large lake are kept and carried on with what changed (`resources.corpus.totals`), so a statement keeps
to these rules:

* It reads tables with a partition, and a row of its answer depends on the rows of one partition, so that the answer
  over the lake is the sum of those over its partitions: a join names the ingest batch as well.
* Columns whose names begin with `total_` are sums or counts of whole numbers, the others are groups. `total_rows`
  counts the rows of the group.
* Or it is ranked: a row is one thing, and of the things in each `ranked_within` only those that come first by
  `ranked_by` are kept. `ranked_by` is unique, and `ingest_batch` is the partition of the row.
"""

from __future__ import annotations

from functools import cache

from pydantic import BaseModel, ConfigDict, Field, model_validator

from resources.lake.statements import FOLDER, Header, parsed_header, statement, statements_in

TOTALS = "totals"  # the folder of the statements


class Ranked(BaseModel):
    """How many rows of a ranking are kept. needed: number that statistics read. More are kept, for rows vanish."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    needed: int = Field(ge=1)
    kept: int

    @model_validator(mode="after")
    def _keeps_what_is_needed(self) -> Ranked:
        if self.kept < self.needed:
            raise ValueError(f"kept must be at least needed ({self.needed})")
        return self


class TotalsHeader(Header):
    """The header of a file of sql/totals/. ranked: of a ranking; None for sums."""

    ranked: Ranked | None = None


@cache
def names_of_totals() -> tuple[str, ...]:
    return tuple(file.stem for file in statements_in(TOTALS))


@cache
def totals_header(name: str) -> TotalsHeader:
    return parsed_header(totals_sql(name), FOLDER / TOTALS / f"{name}.sql", TotalsHeader)


def totals_sql(name: str) -> str:
    """Returns the statement of these totals. Raises FileNotFoundError for an unknown name."""
    return statement(f"{TOTALS}/{name}")
