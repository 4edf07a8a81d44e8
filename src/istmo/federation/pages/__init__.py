"""The region in the console: its members, one member with its reconciliation, inviting, joining."""

from istmo.federation.pages import member_invite, peer_read

routes = [*peer_read.routes, *member_invite.routes]
