-- ---
-- title: Captions that hold a word for an age, a gender or an origin
-- description: >
--   captions: those that hold the word, as it is written; a caption may hold several. English words only. Not counted
--   are black, white and other colours, for a caption says them of things. What a caption calls a person is the guess of
--   the model that wrote it.
-- ---
with asked (position, kind, words) as (
    values
        (1, 'gender', ['man', 'men', 'woman', 'women', 'boy', 'boys', 'girl', 'girls', 'male', 'female', 'lady', 'ladies',
            'guy', 'guys', 'gentleman', 'gentlemen']),
        (2, 'age', ['baby', 'babies', 'toddler', 'toddlers', 'child', 'children', 'kid', 'kids', 'teenager', 'teenagers',
            'young', 'adult', 'adults', 'old', 'older', 'elderly']),
        (3, 'origin', ['african', 'american', 'arab', 'asian', 'caucasian', 'chinese', 'european', 'hispanic', 'indian',
            'japanese', 'korean', 'latina', 'latino'])
),

word as (
    select position, kind, unnest(words) as word, generate_subscripts(words, 1) as place
    from asked
),

held as (
    select word, total_rows from written_word_totals where kind = 'caption'
)

select
    word.kind,
    word.word,
    coalesce(held.total_rows, 0) as captions,
    coalesce(held.total_rows, 0) / nullif((select sum(total_rows) from caption_totals), 0) as share
from word
left join held using (word)
order by word.position, word.place
