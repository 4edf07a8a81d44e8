"""A message in words: the same for every notifier, in the recipient's language."""

from __future__ import annotations

from istmo.kit.visible import printable_line
from istmo.notices.objects import Line, Parcel


def subject_of(parcel: Parcel) -> str:
    """One line that tells how much there is and what the first is, as far as it may be told."""
    number = len(parcel.lines) + parcel.more
    first = parcel.lines[0]
    if number == 1:
        return parcel.say("notices.message.one", node=parcel.node, what=headline(parcel, first))
    return parcel.say("notices.message.many", n=number, node=parcel.node)


def headline(parcel: Parcel, line: Line) -> str:
    """What happened, without what may not leave."""
    what = parcel.say(f"notices.kind.{line.kind}")
    # What others wrote makes no line of its own: it could pass for one of ours, with a link of theirs.
    return f"{what}: {printable_line(line.title)}" if line.title else what


def body_of(parcel: Parcel) -> str:
    """The whole message as plain text."""
    parts = []
    for line in parcel.lines:
        parts.append(headline(parcel, line))
        level = parcel.say(f"kit.level.{line.level}") if line.level else ""
        about = [text for text in (parcel.when(line.at), level, line.tlp) if text]
        parts += ["  " + " · ".join(about), f"  {line.link}"]
        if not line.title:
            parts.append("  " + parcel.say("notices.message.withheld"))
        parts.append("")
    if parcel.more:
        parts += [
            parcel.say("notices.message.more", n=parcel.more),
            f"  {parcel.url.rstrip('/')}/notices",
            "",
        ]
    parts.append(parcel.say("notices.message.why", node=parcel.node))
    return "\n".join(parts) + "\n"
