-- Totals after a change: the last ones, less those of the rows that went, with those of the rows that came.
-- Reads: last, gone, came (as totals_summed.sql has them; a group may stand in gone and came more than once).
with signed as (
    select 1 as sign, * from last
    union all by name
    select -1 as sign, * from gone
    union all by name
    select 1 as sign, * from came
)

select
    columns(lambda name: not starts_with(name, 'total_') and name <> 'sign'),
    sum(sign * columns('^total_'))::bigint as "\0"
from signed
group by all
having sum(sign * total_rows) <> 0
