"""What exists: STIX 2.1 objects, markings, ids, times, patterns. Pure: no clock, no disk, no network."""
