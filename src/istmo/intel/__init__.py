"""Share: STIX objects, their sightings and their retraction."""
