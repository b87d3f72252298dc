-- Snapshots taken before a time that nothing was made from: no subset, checkpoint or export names them, and a newer one
-- is there to reckon from.
select distinct snapshot
from corpus_snapshot
where
    written_at < $before
    and snapshot <> (select arg_max(snapshot, written_at) from corpus_snapshot)
    and snapshot not in (
        select snapshot from subset_snapshots where snapshot is not null
        union all
        select snapshot from checkpoints where snapshot is not null
        union all
        select snapshot from exports where snapshot is not null
    )
order by snapshot
