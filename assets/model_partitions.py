"""The partitions of what is made from snapshots: subsets by name, models by recipe and subset."""

import dagster as dg

from internvid.viclip.recipes import RECIPES
from resources.subsets import subsets

subset_partitions = dg.StaticPartitionsDefinition(sorted(subsets()))
model_partitions = dg.MultiPartitionsDefinition(
    {"recipe": dg.StaticPartitionsDefinition(sorted(RECIPES)), "subset": subset_partitions}
)


def model_key(recipe: str, subset: str) -> str:
    """The partition of a model, as Dagster writes it: the dimensions in order of their names."""
    return dg.MultiPartitionKey({"recipe": recipe, "subset": subset})
