-- rule_efficacy: What does each rule catch, how often is it right, and what does it cost?
--
-- One row a rule or hash entry. hits: contents on which it fired. decided: where it was the deciding
-- signal. precision: share of its labelled hits that people call a violation. reviews: decided hits that
-- a human had to look at, the rule's cost in work; wrong_blocks: its cost to users, among labelled.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 7 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = newest           end, not included
--
-- Sample:
--   rule       hits  decided  blocked  reviews  labelled_hits  precision  wrong_blocks  last_hit
--   text-fast  615   338      300      103      197            0.9289     1             2026-11-16 23:02:42
--   scam-link  220   111      112      76       72             0.9167     0             2026-11-16 21:36:17
--   slur-1     108   51       48       38       32             0.9688     1             2026-11-16 22:27:20

WITH labels AS
    (
        SELECT content_id, revision, argMax(answer, (source = 'golden', labeled_at)) AS truth
        FROM moderation.label_answers
        -- A label follows its post; a day for clocks that differ.
        WHERE labeled_at >= {since:DateTime64(3, 'UTC')} - INTERVAL 1 DAY
        GROUP BY content_id, revision
    )
SELECT
    fired                                               AS rule,
    count()                                             AS hits,
    countIf(rule_that_decided = fired)                  AS decided,
    countIf(action = 'block')                           AS blocked,
    countIf(action = 'review' AND rule_that_decided = fired) AS reviews,
    countIf(labelled)                                   AS labelled_hits,
    if(labelled_hits = 0, NULL, round(countIf(labelled AND truth != '') / labelled_hits, 4)) AS precision,
    countIf(labelled AND truth = '' AND action = 'block') AS wrong_blocks,
    max(created_at)                                     AS last_hit
FROM
(
    SELECT
        created_at, action, decided.rule AS rule_that_decided, arrayJoin(rules) AS fired,
        labels.content_id != '' AS labelled, truth
    FROM moderation.flagged_logs AS decided FINAL
    LEFT JOIN labels ON labels.content_id = decided.content_id AND labels.revision = decided.revision
    WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
        AND notEmpty(rules)
        AND final AND mode = 'live'
)
GROUP BY fired
ORDER BY hits DESC, rule
SETTINGS do_not_merge_across_partitions_select_final = 1
