-- ---
-- title: "Link rot: availability of web sources, by months since they were first seen"
-- description: >
--   The last report of a source in a month counts: a download, a download that failed because of the source, or a check.
--   A failure that says nothing about the source, such as a lost network, is no report. reason: available, or why not.
--   share: of the month's sources.
-- ---
with words as (
    select source_id, fetched_at as told_at, 'available' as reason from downloads
    union all
    select source_id, checked_at, case when is_available then 'available' else coalesce(error_class, 'unknown') end
    from source_checks
    where is_available is not null
    union all
    select key, written_at, error_class
    from attempts
    where
        stage = 'downloads'
        and outcome = 'failed'
        and error_class in (
            'PrivateVideo', 'RemovedVideo', 'GeoBlocked', 'AgeGated', 'LoginRequired', 'Forbidden', 'UnusableFormat',
            'NotAVideo', 'RedirectLoop'
        )
),

of_months as (
    select
        sources.source_id,
        greatest(datesub('month', sources.first_seen_at, words.told_at), 0) as months,
        arg_max(words.reason, words.told_at) as reason
    from words
    inner join sources on words.source_id = sources.source_id
    where sources.kind = 'web'
    group by sources.source_id, months
)

select
    months as months_since_first_seen,
    reason,
    count(*) as sources,
    count(*) / sum(count(*)) over (partition by months) as share
from of_months
group by months, reason
order by months, reason <> 'available', sources desc, reason
