-- Subsets that hold clips of a video, or one clip: number of clips, reason and weights. Reads: $video_id, $clip_id.
select
    subsets.subset,
    subsets.split,
    subsets.reason,
    min(subsets.weight) as lowest_weight,
    max(subsets.weight) as highest_weight,
    count(*) as clips,
    any_value(subset_snapshots.snapshot) as snapshot
from subsets
left join subset_snapshots using (subset)
where subsets.video_id = $video_id and ($clip_id is null or subsets.clip_id = $clip_id)
group by subsets.subset, subsets.split, subsets.reason
order by subsets.subset, clips desc, subsets.reason
