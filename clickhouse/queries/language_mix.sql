-- language_mix: In which languages is posted, and how much of each is moderated?
--
-- The language is what the producer gave; empty when it gave none.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 7 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = newest           end, not included
--
-- Sample:
--   language  decisions  share   moderated  moderated_share
--   en        1528       0.5093  280        0.1832
--   de        773        0.2577  153        0.1979
--   ''        699        0.233   123        0.176

SELECT
    language,
    count()                             AS decisions,
    round(decisions / sum(decisions) OVER (), 4) AS share,
    countIf(action != 'allow')          AS moderated,
    round(moderated / decisions, 4)     AS moderated_share
FROM moderation.moderation_logs FINAL
WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
    AND final AND mode = 'live'
GROUP BY language
ORDER BY decisions DESC, language
SETTINGS do_not_merge_across_partitions_select_final = 1
