"""What cannot be denied: signed envelopes in an append-only Merkle log per origin."""
