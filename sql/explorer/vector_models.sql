-- The models whose vectors the lake has, the most frequent first.
select model, max(dimensions) as dimensions, count(*) as clips
from clip_embeddings
group by model
order by clips desc, model
