-- How two versions of a table differ, by kind and reason: with number of rows, and some keys.
-- Reads: gone, new (key, video, content, digest, made_by: rows that only one of the two versions may have),
-- new_videos, gone_videos (key: videos that only one of the two snapshots has).
with compared as (
    select
        coalesce(gone.key, new.key) as key,
        coalesce(new.video, gone.video) as video,
        gone.key is null as is_added,
        new.key is null as is_removed,
        gone.digest is distinct from new.digest as has_other_content,
        gone.made_by as made_by_before,
        new.made_by as made_by_now,
        gone.content is distinct from new.content as is_changed
    from gone
    full join new on gone.key = new.key
),

explained as (
    select
        key,
        case when is_added then 'added' when is_removed then 'removed' else 'changed' end as kind,
        case
            when is_added and video is null then 'new'
            when is_added and video in (select key from new_videos) then 'of a new video'
            when is_added then 'of a known video'
            when is_removed and video is null then 'gone'
            when is_removed and video in (select key from gone_videos) then 'its video is gone'
            when is_removed then 'its video is there'
            when made_by_before is distinct from made_by_now and has_other_content
                then 'other content by ' || made_by_now || ', before by ' || made_by_before
            when made_by_before is distinct from made_by_now
                then 'the same content by ' || made_by_now || ', before by ' || made_by_before
            when has_other_content then 'other content by the same version: its input changed'
            else 'the same content of another input'
        end as reason
    from compared
    where is_changed
)

select kind, reason, count(*) as row_count, (list(key order by key))[1:3] as examples
from explained
group by kind, reason
order by kind, reason
