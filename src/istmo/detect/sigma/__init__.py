"""Sigma 2.1, evaluated as the specification is written: slow and right. Knows nothing of istmo."""
