//! The statements around every transaction inside a workspace. Connections keep them prepared: the server has neither to
//! parse nor to plan them again.

use std::time::Duration;

use causeway_context::WorkspaceId;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

/// Begins a transaction of the level that nearly all have.
pub(crate) struct Begin;

/// Sets the scope and the limits of a transaction.
pub(crate) struct SetScope {
    pub(crate) workspace: String,
    pub(crate) statement: String,
    pub(crate) idle: String,
}

impl SetScope {
    pub(crate) fn new(workspace: WorkspaceId, statement: Duration, idle: Duration) -> Self {
        Self {
            workspace: workspace.to_string(),
            statement: statement.as_millis().to_string(),
            idle: idle.as_millis().to_string(),
        }
    }
}

/// Fails in a transaction that failed before, and without a scope. Diesel's own commit would take the server's silent
/// rollback of a failed transaction for success; here an error that the body swallowed cannot pass as a commit, nor can
/// a transaction that never began, as what begins it is not waited for.
pub(crate) struct InScope;

/// Commits.
pub(crate) struct Commit;

/// Has the server prepare all of them.
pub(crate) async fn prepare(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    Begin.execute(connection).await?;
    let scope = SetScope::new(WorkspaceId(uuid::Uuid::nil()), Duration::ZERO, Duration::ZERO);
    scope.execute(connection).await?;
    InScope.execute(connection).await?;
    Commit.execute(connection).await?;
    Ok(())
}

impl QueryFragment<Pg> for SetScope {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        pass.push_sql("SELECT set_config('app.workspace_id', ");
        pass.push_bind_param::<Text, _>(&self.workspace)?;
        pass.push_sql(", true), set_config('statement_timeout', ");
        pass.push_bind_param::<Text, _>(&self.statement)?;
        pass.push_sql(", true), set_config('idle_in_transaction_session_timeout', ");
        pass.push_bind_param::<Text, _>(&self.idle)?;
        pass.push_sql(", true)");
        Ok(())
    }
}

/// A statement without parameters.
macro_rules! statement {
    ($name:ident, $sql:literal) => {
        impl QueryFragment<Pg> for $name {
            fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
                pass.push_sql($sql);
                Ok(())
            }
        }
        statement!($name);
    };
    ($name:ident) => {
        impl QueryId for $name {
            type QueryId = Self;
            const HAS_STATIC_QUERY_ID: bool = true;
        }
    };
}

statement!(Begin, "BEGIN ISOLATION LEVEL READ COMMITTED");
statement!(SetScope);
statement!(InScope, "SELECT current_setting('app.workspace_id')::uuid");
statement!(Commit, "COMMIT");
