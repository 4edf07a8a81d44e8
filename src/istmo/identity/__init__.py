"""Who is asking: accounts, sessions, API tokens, lockout and the audit trail."""
