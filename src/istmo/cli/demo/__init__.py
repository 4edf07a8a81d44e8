"""``istmo demo``: three nations on one machine, and one attack that meets all three."""
