"""The ways in which events come over HTTP, a file each."""

from typing import Final

from istmo.detect.intake.asking import Door
from istmo.detect.intake.doors.bulk import Bulk
from istmo.detect.intake.doors.gelf import Gelf
from istmo.detect.intake.doors.hec import Hec
from istmo.detect.intake.doors.native import Native
from istmo.detect.intake.doors.otlp import Otlp

NATIVE: Final = Native()
DOORS: Final[tuple[Door, ...]] = (NATIVE, Bulk(), Gelf(), Hec(), Otlp())
