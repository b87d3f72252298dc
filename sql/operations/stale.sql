-- Rows that nothing stands behind any more: their input is gone, or was made anew, or is now skipped.
-- Rows of an input whose new try failed stay: they are the last good ones. So do those of tables that keep history.
-- Reads: state (the rows of state.sql), children (output, key, unit, provenance, partition,
-- keeps_history).
select children.output, children.key, children.partition
from children
left join state on children.unit = state.unit
where
    not children.keeps_history
    and (
        state.unit is null
        or (
            state.state in ('done', 'skipped')
            and not list_contains(state.provenances, children.provenance)
        )
        or state.state = 'skipped'
    )
