"""The partitions of the assets: ingest batches, subsets by name, models of all kinds by recipe, exports by form."""

from collections.abc import Iterable

import dagster as dg

from internvid.dialogue.recipe import CHAT_RECIPES
from internvid.generation.recipe import GENERATION_RECIPES
from internvid.viclip.recipes import RECIPES
from resources.corpus.exports.forms import FORMS

INGEST_BATCH, SUBSET, MODEL, CHAT = "ingest_batch", "subset", "model", "chat"
GENERATOR, EXPORT = "generator", "export"

PARTITIONS_PER_STATEMENT = 10_000  # SQLite takes 250,000 values in one, and Dagster gives it all at once

ingest_batches = dg.DynamicPartitionsDefinition(name=INGEST_BATCH)


def partitions_of(subsets: Iterable[str]) -> dict[str, dg.PartitionsDefinition]:
    """Returns the partitions definition of each kind. subsets: names of all subsets, the user's own included."""
    by_subset = dg.StaticPartitionsDefinition(sorted(subsets))
    by_form = dg.StaticPartitionsDefinition(sorted(FORMS))
    by_recipe = dg.StaticPartitionsDefinition(sorted(RECIPES))
    by_chat_recipe = dg.StaticPartitionsDefinition(sorted(CHAT_RECIPES))
    by_generator_recipe = dg.StaticPartitionsDefinition(sorted(GENERATION_RECIPES))
    return {
        INGEST_BATCH: ingest_batches,
        SUBSET: by_subset,
        MODEL: dg.MultiPartitionsDefinition({"recipe": by_recipe, "subset": by_subset}),
        CHAT: dg.MultiPartitionsDefinition({"recipe": by_chat_recipe, "subset": by_subset}),
        GENERATOR: dg.MultiPartitionsDefinition({"recipe": by_generator_recipe, "subset": by_subset}),
        EXPORT: dg.MultiPartitionsDefinition({"form": by_form, "subset": by_subset}),
    }


def add_ingest_batches(
    instance: dg.DagsterInstance, batches: Iterable[str], *, per_statement: int = PARTITIONS_PER_STATEMENT
) -> None:
    """Adds partitions of ingest batches; those that are there stay."""
    keys = sorted(set(batches))
    for first in range(0, len(keys), per_statement):
        instance.add_dynamic_partitions(INGEST_BATCH, keys[first : first + per_statement])


def model_key(recipe: str, subset: str) -> str:
    """Returns the partition of a model, chat or generator, as Dagster writes it: dimensions in order of their names."""
    return dg.MultiPartitionKey({"recipe": recipe, "subset": subset})


def export_key(form: str, subset: str) -> str:
    """Returns the partition of an export, as Dagster writes it."""
    return dg.MultiPartitionKey({"form": form, "subset": subset})
