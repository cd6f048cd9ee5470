//! Connections as the pool keeps them.

use std::any::TypeId;
use std::collections::HashSet;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, Object, RecycleError, RecycleResult};
use diesel::pg::{Pg, PgQueryBuilder};
use diesel::query_builder::{QueryBuilder as _, QueryFragment, QueryId};
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::PoolableConnection as _;
use tokio_postgres::Socket;
use tokio_postgres::tls::TlsStream;

use crate::target::Target;
use crate::{DatabaseError, statements};

/// A connection out of the pool.
pub(crate) type Pooled = Object<Connections>;

/// The half of a connection that reads and writes. Whoever waits for an answer drives it himself: a task of its own would
/// cost two changes of thread for every answer. None when the connection has ended.
pub(crate) struct Driver(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Driver {
    pub(crate) fn new<S>(mut connection: tokio_postgres::Connection<Socket, S>) -> Self
    where
        S: TlsStream + Unpin + Send + 'static,
    {
        let messages = std::future::poll_fn(move |context| {
            // Notices and notifications are nobody's. An error ends the connection, and is told to who waits.
            while let Some(Ok(_)) = ready!(connection.poll_message(context)) {}
            Poll::Ready(())
        });
        Self(Some(Box::pin(messages)))
    }

    /// Does `work` on the connection.
    pub(crate) async fn drive<W: Future>(&mut self, work: W) -> W::Output {
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            if let Poll::Ready(answer) = work.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            if self.poll(context) {
                // What waits for an answer hears that none will come.
                return work.as_mut().poll(context);
            }
            Poll::Pending
        })
        .await
    }

    /// Reads and writes what there is; whether the connection has ended.
    fn poll(&mut self, context: &mut Context<'_>) -> bool {
        let ended = match &mut self.0 {
            Some(driver) => driver.as_mut().poll(context).is_ready(),
            None => return true,
        };
        if ended {
            self.0 = None;
        }
        ended
    }
}

/// A connection, and which statements the server knows on it.
pub(crate) struct Connection {
    pub(crate) inner: AsyncPgConnection,
    /// Away while a transaction runs.
    pub(crate) driver: Option<Driver>,
    /// None where no statement outlives its transaction.
    prepared: Option<HashSet<Form>>,
}

/// What diesel keeps a prepared statement by.
#[derive(PartialEq, Eq, Hash)]
pub(crate) enum Form {
    Type(TypeId),
    Text(String),
}

impl Form {
    /// None when diesel does not keep `statement` prepared.
    fn of<Q: QueryFragment<Pg> + QueryId>(statement: &Q) -> Option<Self> {
        if !matches!(statement.is_safe_to_cache_prepared(&Pg), Ok(true)) {
            return None;
        }
        if let Some(id) = Q::query_id() {
            return Some(Self::Type(id));
        }
        let mut text = PgQueryBuilder::default();
        statement.to_sql(&mut text, &Pg).ok()?;
        Some(Self::Text(text.finish()))
    }
}

impl Connection {
    /// Whether the server keeps statements prepared.
    pub(crate) fn prepares(&self) -> bool {
        self.prepared.is_some()
    }

    /// Whether statements of the form of `statement` were prepared on this connection, so that one message runs them; else
    /// what [`Connection::learn`] takes once it was run.
    pub(crate) fn knows<Q: QueryFragment<Pg> + QueryId>(&self, statement: &Q) -> Result<(), Option<Form>> {
        let Some(prepared) = &self.prepared else {
            return Err(None);
        };
        match Form::of(statement) {
            Some(form) if prepared.contains(&form) => Ok(()),
            form => Err(form),
        }
    }

    /// Remembers a form that was run.
    pub(crate) fn learn(&mut self, form: Option<Form>) {
        if let Some(prepared) = &mut self.prepared {
            prepared.extend(form);
        }
    }
}

/// Makes connections, and looks at those that come back.
pub(crate) struct Connections {
    pub(crate) target: Target,
    pub(crate) max_age: Duration,
}

impl Manager for Connections {
    type Type = Connection;
    type Error = DatabaseError;

    async fn create(&self) -> Result<Connection, DatabaseError> {
        let (mut inner, mut driver) = self.target.connect_driven().await?;
        let prepares = !self.target.unprepared();
        if prepares {
            driver.drive(statements::prepare(&mut inner)).await?;
        }
        Ok(Connection {
            inner,
            driver: Some(driver),
            prepared: prepares.then(HashSet::new),
        })
    }

    async fn recycle(&self, connection: &mut Connection, metrics: &Metrics) -> RecycleResult<DatabaseError> {
        if metrics.age() >= self.max_age {
            return Err(RecycleError::message("too old"));
        }
        // Nobody listened while it lay idle.
        let mut idle = Context::from_waker(Waker::noop());
        let ended = match &mut connection.driver {
            Some(driver) => driver.poll(&mut idle),
            None => true,
        };
        match ended || connection.inner.is_broken() {
            true => Err(RecycleError::message("broken")),
            false => Ok(()),
        }
    }
}
