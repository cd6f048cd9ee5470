//! PostgreSQL: pool, WorkspaceTx, migrations, error classes and boot checks.
