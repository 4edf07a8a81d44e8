"""Searching stored events: a small query language, and hunts for indicators."""
