"""Fuzzing of what reads data from outside: ``python -m tests.fuzz --help``."""
