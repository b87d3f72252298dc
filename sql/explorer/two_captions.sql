-- $clips clips with two different captions, at random: by a hash of $seed. Reads captions_a, captions_b.
select
    a.clip_id,
    a.caption as caption_a,
    a.model as model_a,
    a.word_count as words_a,
    b.caption as caption_b,
    b.model as model_b,
    b.word_count as words_b
from captions_a as a
inner join captions_b as b on a.clip_id = b.clip_id
where a.caption <> b.caption
order by md5(concat_ws('/', 'compare', $seed, a.clip_id))
limit $clips
