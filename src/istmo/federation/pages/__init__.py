"""The region in the console: its members, one member with its reconciliation, inviting, joining, carrying."""

from istmo.federation.pages import member_invite, member_work, peer_read

routes = [*peer_read.routes, *member_invite.routes, *member_work.routes]
