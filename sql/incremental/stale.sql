-- Rows without a present unit: their input was removed, was recomputed, or is now skipped.
-- Rows of an input whose new try failed stay: they are the last good ones. So do rows of append-only tables.
-- Reads: state (the rows of state.sql), children (output, key, unit, provenance, partition,
-- append_only).
select children.output, children.key, children.partition
from children
left join state on children.unit = state.unit
where
    not children.append_only
    and (
        state.unit is null
        or (
            state.state in ('done', 'skipped')
            and not list_contains(state.provenances, children.provenance)
        )
        or state.state = 'skipped'
    )
