"""Respond: cases that several nations work on together."""
