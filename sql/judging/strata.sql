-- The strata with their clips, the largest first. Reads stratified.
select stratum, count(*) as clips
from stratified
group by stratum
order by clips desc, stratum
