-- Web sources whose availability is checked again, those with the oldest report first.
-- A report is a download, a failed download, or a check. Left out are sources without a report (their download is due),
-- sources that a download skipped for a reason, forgotten ones, and those of sites in cooldown ($sites).
-- $after, $after_id: the last row of the previous page. At most $max_sources.
with reports as (
    select source_id, fetched_at as reported_at from downloads
    union all
    select source_id, checked_at from source_checks
    union all
    select key, written_at from attempts where stage = 'downloads' and outcome = 'failed'
),

last_reports as (
    select source_id, max(reported_at) as reported_at from reports group by source_id
),

skipped as (
    select key as source_id from attempts where stage = 'downloads' and outcome = 'skipped'
)

select sources.source_id, sources.uri, sources.site, sources.site_key, sources.channel, sources.channel_id, reported_at
from sources
inner join last_reports on sources.source_id = last_reports.source_id
anti join skipped on sources.source_id = skipped.source_id
where
    sources.kind = 'web'
    and (reported_at, sources.source_id) > ($after, $after_id)
    and not list_contains($sites, sources.site)
order by reported_at, sources.source_id
limit $max_sources
