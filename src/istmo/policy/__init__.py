"""Who may see, do and share what: one pure ``decide``."""
