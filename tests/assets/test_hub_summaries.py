"""Summaries by a language model of `transformers`, through Dagster."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tiny_language_models import tiny_t5

from orchestration.cli.session import Session
from resources.models.hub_summariser import HubSummariser

TABLES = ("clips", "frames", "frame_captions", "clip_captions", "clip_scores")


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_t5(tmp_path_factory.mktemp("models") / "tiny-t5")


def written_by(session: Session) -> dict[str, dict[str, str]]:
    """Table -> key -> the run that wrote the row."""
    return {table: dict(session.lake.polars(table).select(pl.first(), "run_id").rows()) for table in TABLES}


@pytest.mark.slow
def test_summaries_name_the_model_that_made_them_and_another_one_makes_only_them_anew(
    session, open_session, ingest, folder, t5
):
    # It reads letter by letter, so captions are read in parts.
    summariser = HubSummariser(weights=str(t5), generation={"max_new_tokens": 12}, context_tokens=60)
    embedded = written_by(session)
    session.resources["summariser"] = summariser
    ingest(session, folder)

    captions = session.lake.polars("clip_captions")
    assert captions.select("model", "revision", "status").unique().rows() == [
        ("tiny-t5", summariser.revision, "truncated")
    ]
    assert captions["version"].str.starts_with(summariser.version).all()
    assert captions["caption"].str.len_chars().min() > 0
    assert captions["evidence"].str.contains("parts").any()
    spent = session.lake.polars("costs").filter(stage="clip_captions", model="tiny-t5")
    assert spent["prompt_tokens"].sum() == captions["prompt_tokens"].sum() > 0
    assert spent["output_tokens"].sum() == captions["output_tokens"].sum()

    written = written_by(session)
    changed = {table for table in TABLES if written[table] != embedded[table]}
    assert changed == {"clip_captions"}

    reopened = open_session()
    reopened.resources["summariser"] = HubSummariser(
        weights=str(t5), generation={"max_new_tokens": 12}, template="In short: {captions}"
    )
    ingest(reopened, folder)
    again = written_by(reopened)
    assert {table for table in TABLES if again[table] != written[table]} == {"clip_captions"}
    assert not set(again["clip_captions"].values()) & set(written["clip_captions"].values())


@pytest.mark.slow
def test_a_summariser_that_writes_nothing_leaves_an_attempt_for_each_clip(session, ingest, folder, t5):
    wordless = {"max_new_tokens": 4, "forced_bos_token_id": 1}  # T5's end
    session.resources["summariser"] = HubSummariser(weights=str(t5), generation=wordless)
    ingest(session, folder)
    failed = session.lake.polars("attempts").filter(stage="clip_captions")
    assert set(failed["key"]) == set(session.lake.polars("clips")["clip_id"])
    assert failed.select("outcome", "error_class").unique().rows() == [("failed", "EmptyAnswer")]
