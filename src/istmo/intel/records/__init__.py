"""The tables of sharing and every statement about them. All but the tallies can be rebuilt from the log."""

from istmo.intel.records.objects import (
    counts,
    definitions,
    delete_object,
    detectable,
    digest,
    entry_object,
    find_retraction,
    forget_note,
    insert_object,
    insert_retraction,
    marks,
    received_since,
    search,
    set_owner,
    state_filter,
    versions,
)
from istmo.intel.records.sightings import (
    find_tally,
    put_sighting,
    put_tally,
    sightings_of,
)

__all__ = [
    "counts",
    "definitions",
    "delete_object",
    "detectable",
    "digest",
    "entry_object",
    "find_retraction",
    "find_tally",
    "forget_note",
    "insert_object",
    "insert_retraction",
    "marks",
    "put_sighting",
    "put_tally",
    "received_since",
    "search",
    "set_owner",
    "sightings_of",
    "state_filter",
    "versions",
]
