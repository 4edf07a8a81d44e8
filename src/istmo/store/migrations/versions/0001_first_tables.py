"""The tables of the first release.

Step 0001, after nothing. Until the first release is cut it creates whatever the code declares.
"""

from alembic import op

from istmo.store.engine import metadata
from istmo.store.migrations import load_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    load_tables()
    metadata.create_all(op.get_bind())
