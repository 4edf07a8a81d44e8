"""Looking through files with rules and indicators, without a node: what a responder has at hand on site."""
