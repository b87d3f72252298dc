-- ---
-- title: "Sources by state: done, failed, skipped, waiting or pending"
-- description: >
--   Every source has exactly one state, so they add up to all sources. A source is done if its video is stored. stage:
--   where another source stopped; the next stage if it is pending. reason: class of its error, or of the reason to skip
--   it.
-- ---
select
    kind,
    state,
    stage,
    reason,
    sum(total_rows)::bigint as sources,
    sum(total_rows) / sum(sum(total_rows)) over () as share
from source_totals
group by kind, state, stage, reason
order by kind, array_position(['done', 'failed', 'skipped', 'waiting', 'pending'], state), stage, sources desc, reason
