"""Ports for senders that wait for no answer: syslog (UDP, TCP, TLS) and GELF (UDP, TCP).

They are no doors: nothing is answered. What comes in fills the same arrivals, and TCP's window closes while
the store is behind.
"""

from istmo.detect.intake.listeners.ports import KINDS, Listeners

__all__ = ["KINDS", "Listeners"]
