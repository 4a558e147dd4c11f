-- reviewer_agreement: How far do reviewers agree when they see the same content?
--
-- One row a pair of reviewers with at least `both` contents in common, the least agreed first. kappa is
-- Cohen's: 1 is full agreement, 0 what chance would give (Cohen 1960).
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = now               end, not included
--   both   UInt32                = 5                 at least this many contents in common
--
-- Sample:
--   reviewer  other_reviewer  contents  agreed  agreed_share  by_chance  kappa
--   m1        m2              86        62      0.7209        0.5327     0.4028
--   m2        m3              105       73      0.6952        0.4889     0.4037
--   m1        m3              97        69      0.7113        0.5092     0.4119

WITH answers AS
    (
        SELECT content_id, revision, reviewer_id, argMax(given.answer, labeled_at) AS answer
        FROM moderation.label_answers AS given
        WHERE labeled_at >= {since:DateTime64(3, 'UTC')} AND labeled_at < {until:DateTime64(3, 'UTC')}
        GROUP BY content_id, revision, reviewer_id
    ),
    several AS (SELECT content_id, revision FROM answers GROUP BY content_id, revision HAVING count() > 1)
SELECT
    one.reviewer_id                                       AS reviewer,
    other.reviewer_id                                     AS other_reviewer,
    count()                                               AS contents,
    countIf(one.answer = other.answer)                    AS agreed,
    round(agreed / contents, 4)                           AS agreed_share,
    -- Pairs of an answer of the one and an answer of the other that are equal, were they unrelated.
    round(arraySum(arrayMap(
        (answer, times) -> times * countEqual(groupArray(other.answer), answer),
        untuple(sumMap([one.answer], [1]))
    )) / pow(contents, 2) AS chance, 4)                   AS by_chance,
    if(chance = 1, 1, round((agreed / contents - chance) / (1 - chance), 4)) AS kappa
FROM (SELECT * FROM answers WHERE (content_id, revision) IN several) AS one
INNER JOIN (SELECT * FROM answers WHERE (content_id, revision) IN several) AS other
    ON one.content_id = other.content_id AND one.revision = other.revision
WHERE one.reviewer_id < other.reviewer_id
GROUP BY reviewer, other_reviewer
HAVING contents >= {both:UInt32}
ORDER BY kappa, reviewer, other_reviewer
