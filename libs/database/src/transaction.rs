//! Transactions: the only way to a connection.

use std::error::Error as StdError;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use causeway_context::WorkspaceId;
use diesel::pg::Pg;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel_async::AsyncPgConnection;

use crate::connection::Driver;
use crate::error::{is_lost, is_repeatable};
use crate::lease::Lease;
use crate::statements::SetScope;
use crate::{Database, DatabaseError, Isolation};

/// How often a transaction is tried when others are in its way.
const ATTEMPTS: u32 = 4;

/// How many connections are tried before the database is said to be away: after a restart of the server the first may
/// be dead without anybody having noticed.
const CONNECTIONS: u32 = 3;

/// A transaction inside one workspace: row-level security shows and takes rows of this workspace only. Is a diesel
/// connection itself.
pub struct WorkspaceTx {
    lease: Lease,
    workspace: WorkspaceId,
}

impl WorkspaceTx {
    /// The workspace; for the explicit `workspace_id = ` of every statement.
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// Runs `statement` as the last one and commits, in one round trip where the connection has run it before: the
    /// COMMIT follows without waiting for the answer. Answers the number of rows. Nothing may come after it, and what
    /// the body answers then changes nothing any more, an error included.
    ///
    /// For a statement whose number of rows decides nothing, such as an insert. With the one that begins the
    /// transaction, which is not waited for either, a transaction of one insert takes one round trip.
    ///
    /// # Errors
    /// What the statement or the commit answers; nothing was done then. After a connection that is lost in between the
    /// transaction may or may not have happened.
    pub async fn last<Q>(&mut self, statement: Q) -> QueryResult<usize>
    where
        Q: QueryFragment<Pg> + QueryId + Send,
    {
        self.lease.last(statement).await
    }
}

/// A transaction without a workspace: sees no row of any tenant table, only tables that are declared as unscoped in
/// their [`Schema`](crate::Schema). Is a diesel connection itself.
pub struct SystemTx {
    lease: Lease,
}

impl Deref for WorkspaceTx {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        &self.lease
    }
}

impl DerefMut for WorkspaceTx {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        &mut self.lease
    }
}

impl Deref for SystemTx {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        &self.lease
    }
}

impl DerefMut for SystemTx {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        &mut self.lease
    }
}

/// Lets a bound say that the future of an async closure can move between threads, which `AsyncFnOnce` alone cannot.
/// Every fitting `async |tx: &mut WorkspaceTx| -> Result<T, E> { .. }` has it.
pub trait Body<A, R>: AsyncFnOnce(A) -> R + FnOnce(A) -> <Self as Body<A, R>>::Running {
    /// The running closure.
    type Running: Future<Output = R>;
}

impl<F, A, R, Running> Body<A, R> for F
where
    F: AsyncFnOnce(A) -> R + FnOnce(A) -> Running,
    Running: Future<Output = R>,
{
    type Running = Running;
}

impl Database {
    /// Runs `body` in a transaction inside `workspace`, as described at [`WorkspaceTx`].
    ///
    /// What begins the transaction and sets the scope goes ahead of the first statement without being waited for; the
    /// scope ends with the transaction, which is not committed without it. `body` may run several times: when another
    /// transaction was in the way, or the connection was lost, it is repeated from the start. That is found in the chain
    /// of causes of the error, so a store's error must keep its cause as `#[source]`.
    ///
    /// # Errors
    /// What `body` answers, after a rollback; or no connection, or a commit that failed.
    pub async fn workspace<T, E, F>(
        &self,
        name: &'static str,
        workspace: WorkspaceId,
        body: F,
    ) -> Result<T, E>
    where
        T: Send,
        E: StdError + From<DatabaseError> + Send + 'static,
        F: for<'r> AsyncFnOnce(&'r mut WorkspaceTx) -> Result<T, E>
            + for<'r> Body<&'r mut WorkspaceTx, Result<T, E>, Running: Send>
            + Clone
            + Send,
    {
        // What can fail for another reason than a lost connection is waited for.
        let waits = self.isolation != Isolation::ReadCommitted || self.snapshot.is_some() || self.unprepared;
        let begin = match waits {
            true => Begin::Waits(self.begin_sql(&workspace.to_string())),
            false => Begin::Ahead(SetScope::new(workspace, self.statement, self.idle_in_transaction)),
        };
        // Apart from the caller's future, which would else be as large as everything below.
        Box::pin(self.repeated(name, &begin, move |lease| WorkspaceTx { lease, workspace }, body)).await
    }

    /// Runs `body` in a transaction without a workspace, as described at [`SystemTx`]; otherwise like
    /// [`Database::workspace`].
    ///
    /// # Errors
    /// As [`Database::workspace`].
    pub async fn system<T, E, F>(&self, name: &'static str, body: F) -> Result<T, E>
    where
        T: Send,
        E: StdError + From<DatabaseError> + Send + 'static,
        F: for<'r> AsyncFnOnce(&'r mut SystemTx) -> Result<T, E>
            + for<'r> Body<&'r mut SystemTx, Result<T, E>, Running: Send>
            + Clone
            + Send,
    {
        // Without a scope no policy would notice a transaction that never began.
        let begin = Begin::Waits(self.begin_sql(""));
        Box::pin(self.repeated(name, &begin, |lease| SystemTx { lease }, body)).await
    }

    /// Limits are set here and not on the session, which a pooler between us and the server would share or refuse.
    /// `scope` is a UUID or empty, a snapshot has letters, digits
    /// and hyphens: neither can hold what ends the quotes.
    fn begin_sql(&self, scope: &str) -> String {
        let snapshot = self.snapshot.as_ref();
        let snapshot = snapshot.map(|name| format!("SET TRANSACTION SNAPSHOT '{name}'; "));
        format!(
            "BEGIN ISOLATION LEVEL {}; {}{}SELECT set_config('app.workspace_id', '{scope}', true), \
             set_config('statement_timeout', '{}', true), \
             set_config('idle_in_transaction_session_timeout', '{}', true)",
            self.isolation.as_sql(),
            snapshot.unwrap_or_default(),
            // What another client of the pooler left behind could bear the same name.
            if self.unprepared { "DEALLOCATE ALL; " } else { "" },
            self.statement.as_millis(),
            self.idle_in_transaction.as_millis(),
        )
    }

    async fn repeated<X, T, E, F>(
        &self,
        name: &'static str,
        begin: &Begin,
        open: impl Fn(Lease) -> X + Send + Sync,
        body: F,
    ) -> Result<T, E>
    where
        X: Transaction,
        T: Send,
        E: StdError + From<DatabaseError> + Send + 'static,
        F: for<'r> AsyncFnOnce(&'r mut X) -> Result<T, E>
            + for<'r> Body<&'r mut X, Result<T, E>, Running: Send>
            + Clone
            + Send,
    {
        let mut attempt = 1;
        loop {
            let (error, sent) = match self.once(begin, &open, body.clone()).await {
                Ok(value) => return Ok(value),
                Err(failed) => failed,
            };
            // After a commit was sent nobody knows.
            let lost = is_lost(&error) && !sent && attempt < CONNECTIONS;
            if attempt == ATTEMPTS || !(lost || is_repeatable(&error)) {
                return Err(error);
            }
            tracing::debug!(transaction = name, attempt, "transaction is repeated");
            if !lost {
                tokio::time::sleep(pause(attempt)).await;
            }
            attempt += 1;
        }
    }

    /// With an error it answers whether the commit had been sent.
    async fn once<X, T, E, F>(
        &self,
        begin: &Begin,
        open: &(impl Fn(Lease) -> X + Send + Sync),
        body: F,
    ) -> Result<T, (E, bool)>
    where
        X: Transaction,
        T: Send,
        E: From<DatabaseError> + Send,
        F: for<'r> AsyncFnOnce(&'r mut X) -> Result<T, E>
            + for<'r> Body<&'r mut X, Result<T, E>, Running: Send>
            + Send,
    {
        let (lease, mut driver) = self.begin(begin).await.map_err(|error| (error.into(), false))?;
        let mut transaction = open(lease);
        let work = async move {
            let answer = body(&mut transaction).await;
            let lease = transaction.into_lease();
            match answer {
                Ok(value) => match lease.commit(X::SCOPED).await {
                    (Ok(()), connection) => (Ok(value), connection),
                    (Err(error), connection) => (Err((DatabaseError::from(error).into(), true)), connection),
                },
                Err(error) => {
                    let sent = lease.commit_was_sent();
                    (Err((error, sent)), lease.rollback().await)
                }
            }
        };
        let (answer, connection) = driver.drive(work).await;
        if let Some(mut connection) = connection {
            connection.driver = Some(driver);
        }
        answer
    }

    /// A connection with an open transaction, and what drives it.
    async fn begin(&self, begin: &Begin) -> Result<(Lease, Driver), DatabaseError> {
        let mut attempt = 1;
        loop {
            let mut connection = Box::pin(self.lease()).await?;
            let Some(mut driver) = connection.driver.take() else {
                return Err(DatabaseError::Silent);
            };
            let mut lease = Lease::new(connection);
            let begun = match begin {
                Begin::Waits(sql) => driver.drive(lease.begin(sql)).await,
                Begin::Ahead(scope) => lease.send_begin(scope).await,
            };
            match begun {
                Ok(()) => return Ok((lease, driver)),
                // Nothing was done yet, so this is safe to repeat.
                Err(_) if attempt < CONNECTIONS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// How a transaction begins.
enum Begin {
    /// By a text whose answer is waited for.
    Waits(String),
    /// By prepared statements ahead of the first one, whose answers nobody reads.
    Ahead(SetScope),
}

/// Grows with the attempt; the random part keeps two that collided from colliding again.
fn pause(attempt: u32) -> Duration {
    let random = u64::from(uuid::Uuid::new_v4().as_bytes()[0]);
    Duration::from_millis(((1 << attempt) * 5) + random / 16 * u64::from(attempt))
}

trait Transaction: Send {
    /// Whether it has a scope, and is not committed without.
    const SCOPED: bool;

    fn into_lease(self) -> Lease;
}

impl Transaction for WorkspaceTx {
    const SCOPED: bool = true;

    fn into_lease(self) -> Lease {
        self.lease
    }
}

impl Transaction for SystemTx {
    const SCOPED: bool = false;

    fn into_lease(self) -> Lease {
        self.lease
    }
}
