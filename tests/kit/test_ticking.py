"""What is looked at again and again goes on whatever one look raises, and ends when told."""

from __future__ import annotations

import threading

from istmo.errors import Unavailable
from istmo.kit.ticking import Ticking


def test_looks_go_on_whatever_one_of_them_raises() -> None:
    looks, enough = [], threading.Event()

    def look() -> None:
        looks.append(len(looks))
        if len(looks) == 1:
            raise Unavailable("store.busy")
        if len(looks) == 2:
            raise ZeroDivisionError
        enough.set()

    ticking = Ticking("test", 0.001, look)
    ticking.start()
    assert enough.wait(10)
    ticking.stop()
    number = len(looks)
    assert not any(one.name == "test" for one in threading.enumerate())
    assert number >= 3
