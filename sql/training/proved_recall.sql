-- Held-out retrieval of clips by their captions that a checkpoint proves: 0 at chance, 1 for perfect.
-- Uses the lower end of Wilson's 95 % interval of recall@1: with few clips a model proves little.
with measured as (
    select value / 100 as recall, chance / 100 as chance_recall, items, 1.96 as z
    from evaluations
    where checkpoint_id = $checkpoint_id and benchmark = 'held_out'
        and metric = 'text_to_video_recall_at_1' and chance < 100
),

lower_bound as (
    select
        chance_recall,
        (recall + z * z / (2 * items) - z * sqrt(recall * (1 - recall) / items + z * z / (4 * items * items)))
        / (1 + z * z / items) as recall
    from measured
)
select greatest(0, (recall - chance_recall) / (1 - chance_recall)) as share
from lower_bound
