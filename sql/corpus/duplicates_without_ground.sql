-- Pairs that are no longer valid: a video of the pair is gone, has no fingerprint, or the packets differ now. Whether a
-- changed video still looks alike is found when it is compared again.
select duplicates.pair_id
from duplicates
left join raw_videos as left_video on duplicates.video_id = left_video.video_id
left join raw_videos as right_video on duplicates.other_video_id = right_video.video_id
where
    left_video.video_id is null
    or right_video.video_id is null
    or (duplicates.kind = 'packets' and left_video.packets_digest is distinct from right_video.packets_digest)
    or (
        duplicates.kind = 'perceptual'
        and (
            duplicates.video_id not in (select video_id from fingerprints)
            or duplicates.other_video_id not in (select video_id from fingerprints)
        )
    )
