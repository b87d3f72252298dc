-- What feed_looks works on: the next look at each feed whose turn it is, and those that were begun and did not end.
-- Refused searches are among them, with why: they are told, never looked at.
-- Reads: declared (look_id: those whose turn it is).
with looked as (
    select feed_id, max(number) as looks from feed_looks group by feed_id
),

next_looks as (
    select
        feeds.feed_id || '/' || (coalesce(looked.looks, 0) + 1) as look_id,
        feeds.plan,
        feeds.address,
        feeds.refused
    from feeds
    left join looked on feeds.feed_id = looked.feed_id
)

select
    look_id as unit,
    plan as partition,
    address as label,
    '' as variant,
    '' as inputs,
    refused as skip
from next_looks
where
    refused is not null
    or look_id in (select look_id from declared)
    or look_id in (select key from attempts where stage = 'feed_looks')
