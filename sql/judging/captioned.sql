-- The clips whose captions people can judge. $subset: a subset that they are of; null: all.
select clip_id, video_id, model
from clip_captions
where caption <> '' and ($subset is null or clip_id in (select clip_id from subsets where subset = $subset))
