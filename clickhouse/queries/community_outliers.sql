-- community_outliers: Which communities are moderated far more, or less, than the others?
--
-- z_score: how far a community's count lies from what the overall share lets expect, in binomial
-- standard deviations. Both ends matter: little moderation may mean that nothing is seen there.
--
-- Parameters:
--   since            DateTime64(3, 'UTC')  = newest - 7 days  first moment, UTC
--   until            DateTime64(3, 'UTC')  = newest           end, not included
--   least_decisions  UInt32                = 100              communities with at least this many decisions
--
-- Sample:
--   community  decided  moderated  moderated_share  overall_share  z_score
--   news       1121     285        0.2542           0.1853         5.94
--   pets       923      129        0.1398           0.1853         -3.56
--   music      956      142        0.1485           0.1853         -2.93

WITH by_community AS
    (
        SELECT
            community,
            count()                     AS decided,
            countIf(action != 'allow')  AS moderated
        FROM moderation.moderation_logs FINAL
        WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
            AND final AND mode = 'live'
        GROUP BY community
    ),
    (SELECT sum(moderated) / sum(decided) FROM by_community) AS overall
SELECT
    community,
    decided,
    moderated,
    round(moderated / decided, 4)       AS moderated_share,
    round(overall, 4)                   AS overall_share,
    round((moderated - decided * overall) / sqrt(greatest(1e-9, decided * overall * (1 - overall))), 2) AS z_score
FROM by_community
WHERE decided >= {least_decisions:UInt32}
ORDER BY abs(z_score) DESC, community
SETTINGS do_not_merge_across_partitions_select_final = 1
