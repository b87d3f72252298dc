-- Pairs that nothing stands behind any more: one of the videos is gone, or they no longer hold the same packets. Whether
-- two still look alike is found when a changed one is compared anew.
select duplicates.pair_id
from duplicates
left join raw_videos as one on duplicates.video_id = one.video_id
left join raw_videos as other on duplicates.other_video_id = other.video_id
where
    one.video_id is null
    or other.video_id is null
    or (duplicates.kind = 'packets' and one.packets_digest is distinct from other.packets_digest)
    or (
        duplicates.kind = 'perceptual'
        and (
            duplicates.video_id not in (select video_id from fingerprints)
            or duplicates.other_video_id not in (select video_id from fingerprints)
        )
    )
