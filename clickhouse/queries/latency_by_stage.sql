-- latency_by_stage: How long do decisions take, by the stage that decided?
--
-- Milliseconds from receipt to decision. stage is empty for content that was allowed, and for content
-- that the fused score decided without a signal of that category.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 7 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = newest           end, not included
--
-- Sample:
--   stage        decisions  p50_ms  p95_ms  p99_ms  max_ms
--   ''           2444       7.03    36.78   84.22   332.06
--   text_score   338        7.61    38.21   86.2    169.08
--   regex_match  218        7.48    50.92   72.51   152.33

SELECT
    stage,
    count()                                          AS decisions,
    round(quantileTDigest(0.5)(latency_ms), 2)       AS p50_ms,
    round(quantileTDigest(0.95)(latency_ms), 2)      AS p95_ms,
    round(quantileTDigest(0.99)(latency_ms), 2)      AS p99_ms,
    round(max(latency_ms), 2)                        AS max_ms
FROM moderation.moderation_logs FINAL
WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
    AND final AND mode = 'live'
GROUP BY stage
ORDER BY decisions DESC, stage
SETTINGS do_not_merge_across_partitions_select_final = 1
