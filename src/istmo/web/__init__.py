"""Assembly of the HTTP application."""
