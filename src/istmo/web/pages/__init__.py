"""Pages that belong to no single room: sign-in, the asker's preferences, the situation."""
