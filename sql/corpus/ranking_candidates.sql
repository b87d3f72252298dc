-- Rows that may stand in a ranking after a change. Of a ranking with more rows than were kept, no row is known that comes
-- after the last one that was kept: a new row counts only if it comes before that.
-- Reads: last, gone, came (as ranking.sql has them: of all batches, and of those of $partitions before and after).
with origins as (
    select 'last' as origin, * from last
    union all by name
    select 'gone' as origin, * from gone
    union all by name
    select 'came' as origin, * from came
),

placed as (
    select *, row_number() over (partition by ranked_within order by ranked_by) as place from origins
),

compared as (
    select
        *,
        max(place) filter (origin = 'last') over ranking as last_place,
        count(*) filter (origin = 'last') over ranking as rows_kept,
        coalesce(max(ranked_rows) filter (origin = 'last') over ranking, 0) as rows_before,
        coalesce(max(ranked_rows) filter (origin = 'gone') over ranking, 0) as rows_gone,
        coalesce(max(ranked_rows) filter (origin = 'came') over ranking, 0) as rows_came
    from placed
    window ranking as (partition by ranked_within)
)

select
    * exclude (origin, place, last_place, rows_kept, rows_before, rows_gone, rows_came)
        replace (rows_before - rows_gone + rows_came as ranked_rows),
    case origin
        when 'last' then not list_contains($partitions, ingest_batch)
        when 'came' then rows_kept = rows_before or place < last_place
        else false
    end as is_known
from compared
