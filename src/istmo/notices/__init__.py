"""Telling people: what happened, to whom it matters, by which way, and never twice by mistake."""
