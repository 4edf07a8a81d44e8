"""The detection worker: a process of its own that takes events in, keeps them, and detects."""
