"""Detection's tables and every SQL statement about them, a module for each noun."""

from istmo.detect.records import alert_history, alerts, positions, rules, sources

__all__ = ["alert_history", "alerts", "positions", "rules", "sources"]
