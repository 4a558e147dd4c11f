-- dead_letters_by_producer: Who sends messages that cannot be used, and what is wrong with them?
--
-- One row a source, stage and kind of error, whole numbers in the error taken out.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = now               end, not included
--
-- Sample:
--   source                  stage   kind_of_error        letters  first_failed         last_failed          example
--   posts.jsonl             decode  `text` is too long   11       2026-11-03 08:00:00  2026-11-16 00:00:00  `text` is too long
--   content.submitted.v1/1  decode  not JSON: at byte N  7        2026-11-04 00:00:00  2026-11-11 16:00:00  not JSON: at byte 3
--   posts.jsonl             decode  not JSON: at byte N  7        2026-11-03 16:00:00  2026-11-15 16:00:00  not JSON: at byte 2

SELECT
    if(source_topic != '', concat(source_topic, '/', toString(source_partition)), source_file) AS source,
    stage,
    replaceRegexpAll(error, '(^|[^\\w-])[0-9]+\\b', '\\1N') AS kind_of_error,
    count()                                 AS letters,
    min(failed_at)                          AS first_failed,
    max(failed_at)                          AS last_failed,
    any(error)                              AS example
FROM moderation.dead_letters FINAL
WHERE failed_at >= {since:DateTime64(3, 'UTC')} AND failed_at < {until:DateTime64(3, 'UTC')}
GROUP BY source, stage, kind_of_error
ORDER BY letters DESC, source, stage, kind_of_error
