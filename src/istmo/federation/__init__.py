"""How nodes meet: charter, invitations, feed, inbox, reconciliation."""
