-- The subsets that were made, each as it was last selected.
select subset, snapshot, clips, train_clips, validation_clips, test_clips, written_at
from subset_snapshots
order by subset
