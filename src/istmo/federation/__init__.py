"""How nodes meet: charter, invitations, live feed, inbox, acknowledgement, reconciliation."""
