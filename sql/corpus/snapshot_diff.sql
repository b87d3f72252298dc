-- How two states of a table differ, by kind and reason: with number of rows, some keys, and some hashes of keys that
-- are not known.
-- Reads: changes (the rows of net_changes), new_videos, gone_videos (key_hash: videos that only one of the two states of
-- the lake has), forgotten (key_hash: of videos and sources).
with explained as (
    select
        key,
        key_hash,
        case
            when content_before is null then 'added' when content_after is null then 'removed' else 'changed'
        end as kind,
        case
            when content_before is null and video_hash is null then 'new'
            when content_before is null and video_hash in (select key_hash from new_videos) then 'of a new video'
            when content_before is null then 'of a known video'
            when
                content_after is null
                and coalesce(video_hash, key_hash) in (select key_hash from forgotten)
                then 'forgotten'
            when content_after is null and video_hash is null then 'gone'
            when content_after is null and video_hash in (select key_hash from gone_videos) then 'its video is gone'
            when content_after is null then 'its video is there'
            when made_by_before is distinct from made_by_after and digest_before is distinct from digest_after
                then 'other content by ' || made_by_after || ', before by ' || made_by_before
            when made_by_before is distinct from made_by_after
                then 'the same content by ' || made_by_after || ', before by ' || made_by_before
            when digest_before is distinct from digest_after
                then 'other content by the same version: its input changed'
            else 'the same content of another input'
        end as reason
    from changes
)

select
    kind,
    reason,
    count(*) as row_count,
    (list(key order by key) filter (key is not null))[1:3] as examples,
    (list(key_hash order by key_hash) filter (key is null))[1:3] as hashes
from explained
group by kind, reason
order by kind, reason
