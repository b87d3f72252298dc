-- The first $kept rows of each ranking, with the number of all its rows.
-- Reads: rows (the answer of a statement of sql/totals/).
select unnest(first_row), ranked_rows
from (
    select unnest(arg_min(rows, ranked_by, $kept)) as first_row, count(*) as ranked_rows
    from rows
    group by ranked_within
)
