"""`active_checkpoint`: the model whose vectors the lake holds. Here the loop closes: it was trained on this lake, or
on another, or is a released one.

It is an asset of its own, above the data, and not an edge from `checkpoints`: a newly trained model would otherwise
recompute every vector, with them the scores, with them the subsets that it was trained on, and so on without end.
"""

import dagster as dg

from resources.models.activation import ASSET

active_checkpoint = dg.AssetSpec(
    ASSET,
    group_name="vectors",
    kinds={"pytorch"},
    description="The checkpoint whose vectors the lake holds. Changed by `internvid activate` or the job "
    "`activate_checkpoint`; the first model trained here becomes active by itself.",
)
