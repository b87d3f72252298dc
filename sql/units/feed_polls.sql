-- What feed_polls works on: the next poll at each feed whose turn it is, and those that were begun and did not end.
-- Refused searches are among them, with why: they are told, never polled at.
-- Reads: parameters (poll_id: those whose turn it is).
with polled as (
    select feed_id, max(number) as polls from feed_polls group by feed_id
),

next_looks as (
    select
        feeds.feed_id || '/' || (coalesce(polled.polls, 0) + 1) as poll_id,
        feeds.plan,
        feeds.address,
        feeds.refused
    from feeds
    left join polled on feeds.feed_id = polled.feed_id
)

select
    poll_id as unit,
    plan as partition,
    address as label,
    '' as variant,
    '' as inputs,
    refused as skip
from next_looks
where
    refused is not null
    or poll_id in (select poll_id from parameters)
    or poll_id in (select key from attempts where stage = 'feed_polls')
