"""Subsets: SQL files that say which clips belong to a named part of the corpus, and why each does.

`header`: what a file declares, and how it is written. `selection`: the clips that it selects. `waterfall`: what each of
its conditions removes.
"""

from resources.corpus.subsets.header import (
    COMMON_PARAMETERS,
    Subset,
    read_subset,
    shown,
    subset_named,
    subsets,
)
from resources.corpus.subsets.selection import connected, select_subset, split_sizes
from resources.corpus.subsets.waterfall import Example, WaterfallRow, waterfall

__all__ = [
    "COMMON_PARAMETERS",
    "Example",
    "Subset",
    "WaterfallRow",
    "connected",
    "read_subset",
    "select_subset",
    "shown",
    "split_sizes",
    "subset_named",
    "subsets",
    "waterfall",
]
