"""Files of trained models."""

from pathlib import Path

import polars as pl
import pytest

from resources.lake.store import Lake
from resources.training.checkpoint_files import remove_states, training_folder

KEPT = ("clips.arrow", "config.json", "log.jsonl", "seen.parquet")  # what the model was trained on


TABLES = [("checkpoints", "model"), ("chat_checkpoints", "chat"), ("generation_checkpoints", "generator")]
CACHES = ("latents.cache", "latents.cache.json")


@pytest.mark.parametrize(("table", "partition"), TABLES)
def test_of_a_training_whose_checkpoint_is_in_the_lake_only_what_it_was_trained_on_is_kept(
    lake: Lake, table: str, partition: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("HOME", str(tmp_path))  # where a training for a bucket keeps its state
    for name in ("finished", "interrupted"):
        (training_folder(lake, name) / "checkpoint").mkdir(parents=True)
        for file in (*KEPT, *CACHES, "state.pt", "checkpoint/model.safetensors"):
            (training_folder(lake, name) / file).write_text("bytes")
    row = {"checkpoint_id": "tiny", partition: "tiny|all", "subset": "all", "provenance": "finished"}
    lake.upsert(table, pl.DataFrame(row))
    for _ in range(2):
        remove_states(lake)
        assert files(training_folder(lake, "finished")) == sorted(KEPT)
        assert files(training_folder(lake, "interrupted")) == sorted((*KEPT, *CACHES, "model.safetensors", "state.pt"))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())
