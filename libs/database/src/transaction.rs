//! Transactions: the only way to a connection.

use std::error::Error as StdError;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use causeway_context::WorkspaceId;
use diesel::result::Error as DieselError;
use diesel_async::pooled_connection::deadpool::Object;
use diesel_async::{
    AnsiTransactionManager, AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _,
    TransactionManager,
};

use crate::error::is_repeatable;
use crate::{Database, DatabaseError};

/// How often a transaction is tried when others are in its way.
const ATTEMPTS: u32 = 4;

/// How many connections are tried before the pool is said to be away: after a restart of the server the first may be
/// dead without anybody having noticed.
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
    /// The scope is set in the same round trip that begins the transaction and ends with it. `body` may run several
    /// times: when another transaction was in the way, it is repeated from the start. That is found in the chain of
    /// causes of the error, so a store's error must keep its cause as `#[source]`.
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
        let begin = self.begin_sql(&workspace.to_string());
        self.repeated(name, &begin, move |lease| WorkspaceTx { lease, workspace }, body)
            .await
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
        let begin = self.begin_sql("");
        self.repeated(name, &begin, |lease| SystemTx { lease }, body)
            .await
    }

    /// Limits are set here and not on the session, which a pooler between us and the server would share or refuse.
    /// `scope` is a UUID or empty: it can hold nothing that ends the quotes.
    fn begin_sql(&self, scope: &str) -> String {
        format!(
            "BEGIN ISOLATION LEVEL {}; SELECT set_config('app.workspace_id', '{scope}', true), \
             set_config('statement_timeout', '{}', true), \
             set_config('idle_in_transaction_session_timeout', '{}', true)",
            self.isolation.as_sql(),
            self.statement.as_millis(),
            self.idle_in_transaction.as_millis(),
        )
    }

    async fn repeated<X, T, E, F>(
        &self,
        name: &'static str,
        begin: &str,
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
            let error = match self.once(begin, &open, body.clone()).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if attempt == ATTEMPTS || !is_repeatable(&error) {
                return Err(error);
            }
            tracing::debug!(transaction = name, attempt, "transaction is repeated");
            tokio::time::sleep(pause(attempt)).await;
            attempt += 1;
        }
    }

    async fn once<X, T, E, F>(
        &self,
        begin: &str,
        open: &(impl Fn(Lease) -> X + Send + Sync),
        body: F,
    ) -> Result<T, E>
    where
        X: Transaction,
        T: Send,
        E: From<DatabaseError> + Send,
        F: for<'r> AsyncFnOnce(&'r mut X) -> Result<T, E>
            + for<'r> Body<&'r mut X, Result<T, E>, Running: Send>
            + Send,
    {
        let mut transaction = open(self.begin(begin).await?);
        match body(&mut transaction).await {
            Ok(value) => {
                transaction
                    .into_lease()
                    .commit()
                    .await
                    .map_err(DatabaseError::from)?;
                Ok(value)
            }
            Err(error) => {
                transaction.into_lease().rollback().await;
                Err(error)
            }
        }
    }

    async fn begin(&self, sql: &str) -> Result<Lease, DatabaseError> {
        let mut attempt = 1;
        loop {
            let mut lease = Lease::new(self.lease().await?);
            match AnsiTransactionManager::begin_transaction_sql(&mut *lease, sql).await {
                Ok(()) => return Ok(lease),
                // Nothing was done yet, so this is safe to repeat.
                Err(_) if attempt < CONNECTIONS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Grows with the attempt; the random part keeps two that collided from colliding again.
fn pause(attempt: u32) -> Duration {
    let random = u64::from(uuid::Uuid::new_v4().as_bytes()[0]);
    Duration::from_millis(((1 << attempt) * 5) + random / 16 * u64::from(attempt))
}

trait Transaction: Send {
    fn into_lease(self) -> Lease;
}

impl Transaction for WorkspaceTx {
    fn into_lease(self) -> Lease {
        self.lease
    }
}

impl Transaction for SystemTx {
    fn into_lease(self) -> Lease {
        self.lease
    }
}

/// A connection out of the pool. It goes back only after a commit or a rollback; when it is dropped otherwise (a
/// cancelled call, a panic) it is closed at once, which ends the transaction and its locks.
struct Lease {
    connection: Option<Object<AsyncPgConnection>>,
}

impl Lease {
    fn new(connection: Object<AsyncPgConnection>) -> Self {
        Self {
            connection: Some(connection),
        }
    }

    /// Diesel's own commit would take the server's silent rollback of a failed transaction for success. The SELECT
    /// fails in one, so an error that the body swallowed cannot pass as a commit.
    async fn commit(mut self) -> Result<(), DieselError> {
        match self.batch_execute("SELECT 1; COMMIT").await {
            Ok(()) => {
                *self.transaction_state() = AnsiTransactionManager::default();
                self.give_back();
                Ok(())
            }
            Err(error) => {
                self.rollback().await;
                Err(error)
            }
        }
    }

    async fn rollback(mut self) {
        let connection: &mut AsyncPgConnection = &mut self;
        if AnsiTransactionManager::rollback_transaction(connection)
            .await
            .is_ok()
        {
            self.give_back();
        }
    }

    fn give_back(mut self) {
        drop(self.connection.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }
}

impl Deref for Lease {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        self.connection.as_deref().expect("only given back by value")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        self.connection.as_deref_mut().expect("only given back by value")
    }
}
