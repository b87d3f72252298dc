-- ---
-- title: Caption by
-- description: The model that wrote the clip's caption; "none" for a clip without a caption.
-- place: 7
-- ---
select numbered.number, coalesce(clip_captions.model, 'none') as value
from numbered
left join clip_captions using (clip_id)
