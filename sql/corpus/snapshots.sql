-- The snapshots, the newest first: the name that a user gave, when each was taken, its videos and clips, and what was
-- made from it.
with made as (
    select snapshot, 'subset ' || subset as what from subset_snapshots
    union all
    select snapshot, 'checkpoint ' || checkpoint_id as what from checkpoints
    union all
    select snapshot, 'checkpoint ' || checkpoint_id as what from chat_checkpoints
    union all
    select snapshot, 'checkpoint ' || checkpoint_id as what from generation_checkpoints
    union all
    select snapshot, 'export ' || path as what from exports
),

used as (
    select snapshot, list(distinct what order by what) as made_from_it from made where snapshot is not null group by snapshot
)

select
    snapshot,
    any_value(corpus_snapshot.label) as label,
    min(corpus_snapshot.written_at) as taken_at,
    max(row_count) filter (where table_name = 'raw_videos') as videos,
    max(row_count) filter (where table_name = 'clips') as clips,
    max(row_count) filter (where table_name = 'clip_captions') as captions,
    any_value(used.made_from_it) as made_from_it
from corpus_snapshot
left join used using (snapshot)
group by snapshot
order by taken_at desc, snapshot
