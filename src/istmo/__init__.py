"""istmo: shared cyber defence for a region of sovereign nodes."""

__version__ = "0.1.0"
