-- precision_recall_by_threshold: What would a category's precision and recall be at each threshold?
--
-- Over labelled content, by the final probability of the category. Labels of a review queue are no
-- fair sample: recall is that among labelled content.
--
-- Parameters:
--   since     DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--   until     DateTime64(3, 'UTC')  = newest            end, not included
--   category  String                = spam              which category
--   steps     UInt8                 = 20                thresholds between 0 and 1
--
-- Sample:
--   threshold  flagged  true_positives  false_positives  false_negatives  positives  precision  recall
--   0.05       588      105             483              18               123        0.1786     0.8537
--   0.1        403      90              313              33               123        0.2233     0.7317
--   0.15       267      84              183              39               123        0.3146     0.6829

WITH
    labels AS
    (
        SELECT content_id, revision, argMax(answer, (source = 'golden', labeled_at)) AS truth
        FROM moderation.label_answers
        -- A label follows its post; a day for clocks that differ.
        WHERE labeled_at >= {since:DateTime64(3, 'UTC')} - INTERVAL 1 DAY
        GROUP BY content_id, revision
    ),
    scored AS
    (
        -- Scores are stored as 32-bit floats: 0.7 is to be 0.7 again, which reaches a threshold of 0.7.
        SELECT round(toFloat64(scores[{category:String}]), 6) AS score, truth = {category:String} AS positive
        FROM moderation.labelled_logs FINAL
        INNER JOIN labels USING (content_id, revision)
        WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
            AND final AND mode = 'live'
    )
SELECT
    threshold,
    countIf(score >= threshold)                AS flagged,
    countIf(score >= threshold AND positive)   AS true_positives,
    flagged - true_positives                   AS false_positives,
    countIf(score < threshold AND positive)    AS false_negatives,
    true_positives + false_negatives           AS positives,
    if(flagged = 0, NULL, round(true_positives / flagged, 4))      AS precision,
    if(positives = 0, NULL, round(true_positives / positives, 4))  AS recall
FROM scored
ARRAY JOIN arrayMap(i -> round(i / {steps:UInt8}, 4), range(1, {steps:UInt8})) AS threshold
GROUP BY threshold
ORDER BY threshold
SETTINGS do_not_merge_across_partitions_select_final = 1
