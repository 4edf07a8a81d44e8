"""Processing pipelines as pySigma's users write them, applied to parsed rules.

Follows "Processing Pipelines" of pySigma's documentation (2.0). What belongs to a backend's query
(postprocessing, finalizers, query expressions) and what reaches outside (files, HTTP, commands) is
refused by name.
"""

from istmo.detect.sigma.pipelines.applying import apply_pipelines
from istmo.detect.sigma.pipelines.placeholders import KeptPlaceholders
from istmo.detect.sigma.pipelines.reading import Pipeline, read_pipeline, read_pipelines

__all__ = ["KeptPlaceholders", "Pipeline", "apply_pipelines", "read_pipeline", "read_pipelines"]
