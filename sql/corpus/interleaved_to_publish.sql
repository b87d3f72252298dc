-- The documents of a subset, in order.
select document_id, form, split, video_id, other_video_id, texts, images, clips
from interleaved
order by form, document_id
