"""Starter content: folders of YAML, Markdown and JSON with a manifest, in Spanish and English. No code."""
