"""PgQueuer's tables, as the installed release declares them."""

from alembic import op
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment

revision = "2026_11_23_2010"
down_revision = "2026_11_23_2000"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(QueryBuilderEnvironment().build_install_query())


def downgrade() -> None:
    run_script(QueryBuilderEnvironment().build_uninstall_query())


def run_script(script: str) -> None:
    """Send several statements at once, which a prepared statement can't hold."""
    bind = op.get_bind()
    # SQLAlchemy begins at the first statement; without one the script would commit by itself.
    bind.exec_driver_sql("SELECT 1")
    connection = bind.connection.dbapi_connection
    assert connection is not None  # noqa: S101  # a bound connection has one
    connection.run_async(lambda driver: driver.execute(script))
