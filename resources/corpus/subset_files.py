"""The subsets: those of sql/subsets/, and the user's own."""

from __future__ import annotations

from typing import Optional

import dagster as dg

from resources.corpus.subsets import Subset, subset_named, subsets


class SubsetFiles(dg.ConfigurableResource):
    """The SQL files of subsets. folder: folder of the user's own files; None: there are none."""

    folder: Optional[str] = None  # noqa: UP045 - Dagster's config knows no other union

    def all(self) -> dict[str, Subset]:
        """Returns every subset by name. Raises ValueError for a file that declares none, naming it."""
        return subsets(self.folder)

    def named(self, name: str) -> Subset:
        """Returns the subset. Raises ValueError that lists the subsets there are."""
        return subset_named(name, self.folder)
