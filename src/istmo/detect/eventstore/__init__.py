"""Events at rest: a write-ahead file of validated lines, then segments of zstd frames and Parquet columns."""
