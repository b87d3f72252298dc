"""The partitions of the assets: ingest batches, subsets by name, models by recipe and subset."""

from collections.abc import Iterable

import dagster as dg

from internvid.viclip.recipes import RECIPES

INGEST_BATCH, SUBSET, MODEL = "ingest_batch", "subset", "model"

ingest_batches = dg.DynamicPartitionsDefinition(name=INGEST_BATCH)


def partitions_of(subsets: Iterable[str]) -> dict[str, dg.PartitionsDefinition]:
    """Returns the partitions definition of each kind. subsets: names of all subsets, the user's own included."""
    by_subset = dg.StaticPartitionsDefinition(sorted(subsets))
    by_recipe = dg.StaticPartitionsDefinition(sorted(RECIPES))
    return {
        INGEST_BATCH: ingest_batches,
        SUBSET: by_subset,
        MODEL: dg.MultiPartitionsDefinition({"recipe": by_recipe, "subset": by_subset}),
    }


def model_key(recipe: str, subset: str) -> str:
    """Returns the partition of a model, as Dagster writes it: the dimensions in order of their names."""
    return dg.MultiPartitionKey({"recipe": recipe, "subset": subset})
