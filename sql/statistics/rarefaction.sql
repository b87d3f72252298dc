-- ---
-- title: Different verbs and nouns to expect in so many captions, drawn from all at random
-- description: >
--   Lakes of different sizes are compared at the same number of captions. Computed and not drawn: a word that F of N
--   captions hold is missing from n of them with the chance C(N - F, n) / C(N, n) (Hurlbert 1971). The last row are all
--   captions. paper_unique_verbs: InternVid's, in its 234 million captions.
-- ---
with of_captions as (
    select coalesce(sum(total_rows), 0)::bigint as captions from caption_totals
),

-- 1, 2, 5, 10, 20, 50 and so on, below the number of captions, and that.
size as (
    select (digit * pow(10, exponent))::bigint as drawn
    from (select unnest([1, 2, 5]) as digit) as digits, (select unnest(range(0, 12)) as exponent) as exponents
    where digit * pow(10, exponent) < (select captions from of_captions)
    union
    select captions from of_captions where captions > 0
),

-- Words that as many captions hold: thousands of numbers, of any number of words.
held as (
    select
        least(total_rows, (select captions from of_captions)) as holding,
        count(*) filter (where part = 'verb') as verbs,
        count(*) filter (where part = 'noun') as nouns
    from word_totals
    group by holding
),

missing as (
    select
        size.drawn,
        held.verbs,
        held.nouns,
        case
            when size.drawn > captions - held.holding then 0
            else exp(
                lgamma(captions - held.holding + 1) - lgamma(captions - held.holding - size.drawn + 1)
                - lgamma(captions + 1) + lgamma(captions - size.drawn + 1)
            )
        end as chance
    from size, held, of_captions
)

-- Decimals: a sum of doubles depends on the order that threads add them in, and a lake published twice is the same.
select
    size.drawn as captions,
    coalesce(sum((missing.verbs * (1 - missing.chance))::decimal(38, 9)), 0)::double as unique_verbs,
    coalesce(sum((missing.nouns * (1 - missing.chance))::decimal(38, 9)), 0)::double as unique_nouns
from size
left join missing using (drawn)
group by size.drawn
order by size.drawn
