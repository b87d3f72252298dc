-- Where every unit of a stage stands: done, failed, skipped, waiting or pending. Exactly one of them, so counts add up.
-- Reads: units (the stage's own statement), stage_versions (output, variant, version: what the stage does to a unit),
-- children (output, unit, provenance, unit_rows: what its tables hold), attempts, originals (key: rows, of any batch,
-- that a skipped unit is a duplicate of); and $stage, $now.
with expected as (
    select
        units.unit,
        units.partition,
        units.label,
        units.variant,
        units.skip,
        stage_versions.output,
        md5(concat_ws('|', units.unit, units.inputs, stage_versions.version)) as provenance
    from units
    inner join stage_versions on units.variant = stage_versions.variant
),

-- A unit's rows may be committed in slices: it is complete when all of them are there.
complete as (
    select output, unit, provenance
    from children
    group by output, unit, provenance
    having count(*) = max(unit_rows)
),

-- The time for another try has come, too, where the clock was set back since the last one, which then was more than an
-- hour from now. Clocks of several machines differ by less.
tried as (
    select *, next_try_at <= $now or coalesce(written_at > $now + interval 1 hour, false) as is_due
    from attempts
    where stage = $stage
),

progress as (
    select
        expected.unit,
        any_value(expected.partition) as partition,
        any_value(expected.label) as label,
        any_value(expected.variant) as variant,
        any_value(expected.skip) as skip,
        list(expected.provenance order by expected.output) as provenances,
        count(complete.unit) = count(*) as is_done
    from expected
    left join complete
        on expected.output = complete.output
        and expected.unit = complete.unit
        and expected.provenance = complete.provenance
    group by expected.unit
)

select
    progress.unit,
    progress.partition,
    progress.label,
    progress.variant,
    progress.skip,
    progress.provenances,
    case
        when tried.outcome = 'improvable' and tried.is_due then 'pending'
        when progress.is_done then 'done'
        when tried.outcome = 'skipped' and (tried.related_key is null or originals.key is not null) then 'skipped'
        when tried.outcome = 'waiting' and not tried.is_due then 'waiting'
        when tried.next_try_at is null and tried.outcome = 'failed' then 'failed'
        when tried.outcome = 'failed' and not tried.is_due then 'failed'
        else 'pending'
    end as state,
    case when tried.outcome in ('failed', 'waiting', 'improvable') then tried.tries else 0 end as tries
from progress
left join tried
    on tried.key = progress.unit
    and tried.provenance = progress.provenances[-1]
left join originals on tried.related_key = originals.key
order by progress.label, progress.unit
