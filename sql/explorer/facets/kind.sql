-- ---
-- title: Kind
-- description: Whether the clip was cut here, or is a span that others annotated.
-- place: 8
-- ---
select numbered.number, if(clips.annotation_id is null, 'cut here', 'imported span') as value
from numbered
inner join clips using (clip_id)
