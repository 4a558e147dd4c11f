-- storage: How much room does each table take, and how much a million decisions?
--
-- Compressed bytes of the active parts, indexes and marks included.
--
-- Sample:
--   table            stored_rows  megabytes  compression  bytes_a_row  megabytes_per_million_decisions
--   moderation_logs  4311         0.3        3.9          70           70
--   content          4311         0.13       4.6          29.4         29.4
--   model_outputs    4781         0.11       2.8          22.7         25.2

WITH
    (
        SELECT greatest(1, sum(rows))
        FROM system.parts
        WHERE active AND database = 'moderation' AND table = 'moderation_logs'
    ) AS decisions
SELECT
    table,
    sum(rows)                                               AS stored_rows,
    round(sum(bytes_on_disk) / 1e6, 2)                      AS megabytes,
    -- A table that was emptied has parts without rows.
    round(sum(data_uncompressed_bytes) / nullIf(sum(data_compressed_bytes), 0), 1) AS compression,
    round(sum(bytes_on_disk) / nullIf(stored_rows, 0), 1)   AS bytes_a_row,
    round(sum(bytes_on_disk) / decisions, 1)                AS megabytes_per_million_decisions
FROM system.parts
WHERE active AND database = 'moderation'
GROUP BY table
ORDER BY megabytes DESC, table
