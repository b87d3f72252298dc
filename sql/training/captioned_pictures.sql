-- The clips with frames and a caption. Reads pictures (training/clip_pictures).
select pictures.clip_id, pictures.digests as pictures_digest, clip_captions.digest as caption_digest
from pictures
inner join clip_captions on pictures.clip_id = clip_captions.clip_id
