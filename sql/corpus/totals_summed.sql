-- Totals as they are kept: sums as bigint, and no empty group.
-- Reads: rows (the answer of a statement of sql/totals/).
select
    columns(lambda name: not starts_with(name, 'total_')),
    columns('^total_')::bigint as "\0"
from rows
where total_rows <> 0
