-- latency_by_stage: How long do decisions take, and how much of it is each stage?
--
-- Milliseconds. The row `whole` is from receipt to decision, over all decisions. The others are what a
-- content waited for a stage, which is what the stage took for the batch it was in, over the contents whose
-- times are stored: one in 16.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 7 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = newest           end, not included
--
-- Sample:
--   stage       contents  p50_ms  p95_ms  p99_ms  max_ms
--   whole       3000      7.11    38.22   84.77   332.06
--   text_score  186       4.95    18.9    32.52   33.41
--   fusion      186       1.02    3.18    6.23    6.53

SELECT
    stage,
    count()                                                        AS contents,
    round(toFloat64(quantilesTDigest(0.5, 0.95, 0.99)(ms)[1]), 2) AS p50_ms,
    round(toFloat64(quantilesTDigest(0.5, 0.95, 0.99)(ms)[2]), 2) AS p95_ms,
    round(toFloat64(quantilesTDigest(0.5, 0.95, 0.99)(ms)[3]), 2) AS p99_ms,
    round(toFloat64(max(ms)), 2)                                   AS max_ms
FROM
(
    SELECT 'whole' AS stage, latency_ms AS ms
    FROM moderation.moderation_logs FINAL
    WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
        AND final AND mode = 'live'
    UNION ALL
    SELECT stage, ms
    FROM moderation.moderation_logs FINAL
    ARRAY JOIN mapKeys(stage_ms) AS stage, mapValues(stage_ms) AS ms
    PREWHERE notEmpty(stage_ms)
    WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
        AND final AND mode = 'live'
)
GROUP BY stage
ORDER BY p50_ms DESC, stage
SETTINGS do_not_merge_across_partitions_select_final = 1
