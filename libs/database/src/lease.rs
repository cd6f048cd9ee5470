//! A connection for the time of a transaction.

use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::task::Poll;

use diesel::connection::{TransactionDepthChange, TransactionManagerStatus};
use diesel::pg::Pg;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel::result::{Error as DieselError, QueryResult};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _,
    SimpleAsyncConnection as _, TransactionManager as _,
};

use crate::connection::{Connection, Pooled};
use crate::statements::{Begin, Commit, InScope, SetScope};

/// A connection out of the pool, which somebody else drives. It goes back only after a commit or a rollback; when it is dropped otherwise (a
/// cancelled call, a panic) it is closed at once, which ends the transaction and its locks.
pub(crate) struct Lease {
    connection: Option<Pooled>,
    commit: State,
}

/// Fails in a failed transaction, as `InScope` does.
const COMMIT: &str = "SELECT 1; COMMIT";

/// [`InScope`] and [`Commit`] where nothing is prepared.
const COMMIT_IN_SCOPE: &str = "SELECT current_setting('app.workspace_id')::uuid; COMMIT";

/// How far the commit is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Sent,
    Done,
}

impl Lease {
    pub(crate) fn new(connection: Pooled) -> Self {
        Self {
            connection: Some(connection),
            commit: State::Open,
        }
    }

    /// Begins the transaction.
    pub(crate) async fn begin(&mut self, sql: &str) -> QueryResult<()> {
        AnsiTransactionManager::begin_transaction_sql(&mut **self, sql).await
    }

    /// Sends what begins the transaction, ahead of its first statement, and does not wait for the answer. A connection
    /// that is known to be closed is an error. Whoever commits has to look whether the transaction began.
    pub(crate) async fn send_begin(&mut self, scope: &SetScope) -> QueryResult<()> {
        let connection: &mut AsyncPgConnection = self;
        {
            let (mut one, mut two) = (&*connection, &*connection);
            let both = futures::future::try_join(Begin.execute(&mut one), scope.execute(&mut two));
            let mut both = pin!(tokio::task::unconstrained(both));
            if let Poll::Ready(answer) = futures::poll!(both.as_mut()) {
                answer?;
            }
        }
        match AnsiTransactionManager::transaction_manager_status_mut(connection) {
            TransactionManagerStatus::Valid(status) => {
                status.change_transaction_depth(TransactionDepthChange::IncreaseDepth)
            }
            TransactionManagerStatus::InError => Err(DieselError::BrokenTransactionManager),
        }
    }

    /// Runs the last statement and commits. The commit is sent right behind a statement that the server knows; another
    /// one takes two messages, and the commit would overtake the second.
    pub(crate) async fn last<Q>(&mut self, statement: Q) -> QueryResult<usize>
    where
        Q: QueryFragment<Pg> + QueryId + Send,
    {
        if self.commit != State::Open {
            return Err(DieselError::BrokenTransactionManager);
        }
        if let Err(form) = self.connection().knows(&statement) {
            let connection = self.connection_mut();
            let rows = statement.execute(&mut connection.inner).await?;
            connection.learn(form);
            return Ok(rows);
        }
        self.commit = State::Sent;
        let connection: &AsyncPgConnection = self;
        let (mut one, mut two) = (connection, connection);
        // Here nothing has to look whether the transaction is sound: in one that failed this statement fails as well.
        let (rows, committed) = in_order(statement.execute(&mut one), Commit.execute(&mut two)).await;
        if rows.is_err() || committed.is_err() {
            // The server answered both, so it is known that nothing happened.
            let answered =
                |answer: Option<&DieselError>| answer.is_none_or(|error| !crate::error::is_lost(error));
            if answered(rows.as_ref().err()) && answered(committed.as_ref().err()) {
                self.commit = State::Open;
            }
            return rows.and_then(|rows| committed.map(|_| rows));
        }
        self.committed();
        rows
    }

    /// Commits, unless [`Lease::last`] did. Answers the connection as well, if it can be used again.
    pub(crate) async fn commit(mut self, scoped: bool) -> (QueryResult<()>, Option<Pooled>) {
        if self.commit != State::Done {
            let answer = match (scoped, self.connection().prepares()) {
                (true, true) => send_commit(&self).await,
                (true, false) => self.batch_execute(COMMIT_IN_SCOPE).await,
                (false, _) => self.batch_execute(COMMIT).await,
            };
            if let Err(error) = answer {
                return (Err(error), self.rollback().await);
            }
            self.committed();
        }
        (Ok(()), self.connection.take())
    }

    /// Whether the transaction may have happened, for all that is known here.
    pub(crate) fn commit_was_sent(&self) -> bool {
        self.commit != State::Open
    }

    /// Takes everything back, unless it is too late for that. Answers the connection, if it can be used again.
    pub(crate) async fn rollback(mut self) -> Option<Pooled> {
        if self.commit == State::Done {
            return self.connection.take();
        }
        let connection: &mut AsyncPgConnection = &mut self;
        let taken_back = AnsiTransactionManager::rollback_transaction(connection).await;
        taken_back.ok().and_then(|()| self.connection.take())
    }

    fn committed(&mut self) {
        self.commit = State::Done;
        *self.transaction_state() = AnsiTransactionManager::default();
    }

    fn connection(&self) -> &Connection {
        self.connection.as_deref().expect("only given back by value")
    }

    fn connection_mut(&mut self) -> &mut Connection {
        self.connection.as_deref_mut().expect("only given back by value")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Pooled::take(connection));
        }
    }
}

impl Deref for Lease {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        &self.connection().inner
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        &mut self.connection_mut().inner
    }
}

/// Both at once, in this order: that of sending is that of polling. Without a budget there is nothing else that the first
/// future could wait for than its answer.
async fn in_order<A: Future, B: Future>(first: A, second: B) -> (A::Output, B::Output) {
    tokio::task::unconstrained(futures::future::join(first, second)).await
}

/// Looks whether the transaction is sound and commits it, in one round trip. After a failed look the server takes the
/// commit for a rollback.
async fn send_commit(connection: &AsyncPgConnection) -> QueryResult<()> {
    let (mut one, mut two) = (connection, connection);
    let (sound, committed) = in_order(InScope.execute(&mut one), Commit.execute(&mut two)).await;
    sound.and(committed).map(|_| ())
}
