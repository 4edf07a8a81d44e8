"""Who may come to a route at all. Every handler says it; the program does not start with one that is silent.

    @get("/api/v1/objects", opt=PEOPLE)

This is the outer door: behind it, each service asks ``policy`` about the thing itself.
"""

from __future__ import annotations

from typing import Final

ACCESS: Final = "access"

PUBLIC: Final = {ACCESS: "public"}
"""Anyone, known or not: sign-in, static files, an invitation being accepted."""

PEOPLE: Final = {ACCESS: "people"}
"""This node's own: a person signed in, a program with an API token, the local operator."""

FIRST: Final = "first"
ANYBODY_LET_IN: Final = {**PEOPLE, FIRST: True}
"""The same, also before somebody has set a password of their own."""

PEER: Final = {ACCESS: "peer"}
"""Another member's node, by the signature on its request (RFC 9421)."""

OPERATOR: Final = {ACCESS: "operator"}
"""Whoever holds the node's own key: the local command line alone."""

KINDS: Final = frozenset({"public", "people", "peer", "operator"})
