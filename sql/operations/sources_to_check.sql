-- Web sources of which there was some word, the longest ago first: whether they can still be had is asked again.
-- A word is a download, one that failed, or a check. Left out are sources that were never tried (their download is due),
-- those that a download has skipped for a reason and forgotten ones, and those of sites that are left alone ($sites).
-- $after, $after_id: where the part before ended. At most $most.
with words as (
    select source_id, fetched_at as told_at from downloads
    union all
    select source_id, checked_at from source_checks
    union all
    select key, written_at from attempts where stage = 'downloads' and outcome = 'failed'
),

last_words as (
    select source_id, max(told_at) as told_at from words group by source_id
),

skipped as (
    select key as source_id from attempts where stage = 'downloads' and outcome = 'skipped'
)

select sources.source_id, sources.uri, sources.site, sources.site_key, sources.channel, sources.channel_id, told_at
from sources
inner join last_words on sources.source_id = last_words.source_id
anti join skipped on sources.source_id = skipped.source_id
where
    sources.kind = 'web'
    and (told_at, sources.source_id) > ($after, $after_id)
    and not list_contains($sites, sources.site)
order by told_at, sources.source_id
limit $most
