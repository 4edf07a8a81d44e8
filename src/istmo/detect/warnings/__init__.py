"""Warning lists: values too common to be alarmed by, as MISP's warninglists write them.

Pure: lists in, names of the lists on which a value stands out.
"""

from istmo.detect.warnings.finding import (
    Compiled,
    Prepared,
    Value,
    Warnings,
    compile_list,
    open_list,
    prepare,
)
from istmo.detect.warnings.reading import WarningList, read_warning_list, reserved_lists

__all__ = [
    "Compiled",
    "Prepared",
    "Value",
    "WarningList",
    "Warnings",
    "compile_list",
    "open_list",
    "prepare",
    "read_warning_list",
    "reserved_lists",
]
