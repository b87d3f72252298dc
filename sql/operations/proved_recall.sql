-- How much better than by lot a checkpoint surely finds held-out clips by their captions: from 0 to 1 (perfectly).
-- The recall is the lower end of Wilson's 95 % interval: of a few clips a model proves little.
with recall as (
    select value / 100 as found, chance / 100 as by_lot, items, 1.96 as z
    from evaluations
    where checkpoint_id = $checkpoint_id and metric = 'text_to_video_recall_at_1' and chance < 100
),

surely as (
    select
        by_lot,
        (found + z * z / (2 * items) - z * sqrt(found * (1 - found) / items + z * z / (4 * items * items)))
        / (1 + z * z / items) as found
    from recall
)
select greatest(0, (found - by_lot) / (1 - by_lot)) as share
from surely
