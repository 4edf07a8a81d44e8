"""Detection's tables and every SQL statement about them, a module for each noun."""

from istmo.detect.records import alerts, positions, rules, sources

__all__ = ["alerts", "positions", "rules", "sources"]
