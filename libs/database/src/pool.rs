//! The pool of connections of one process.

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::Pool;
use diesel_async::SimpleAsyncConnection as _;
use secrecy::SecretString;
use tokio::time::Instant;
use tokio_postgres::error::SqlState;

use crate::DatabaseError;
use crate::connection::{Connections, Pooled};
use crate::target::Target;

/// How the pool behaves. Every wait in it is bounded.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// The most connections at one time.
    pub max_size: usize,
    /// What the server lists the connections as.
    pub application_name: String,
    /// How long a transaction waits for a free connection.
    pub wait: Duration,
    /// How long making a connection may take.
    pub connect: Duration,
    /// How long one statement may take.
    pub statement: Duration,
    /// How long a transaction may sit without a statement before the server ends it.
    pub idle_in_transaction: Duration,
    /// After what age a connection is replaced, so that a failover is followed.
    pub max_age: Duration,
    /// How long [`Database::connect`] waits for a server that is starting.
    pub start: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            max_size: 50,
            application_name: "causeway".to_owned(),
            wait: Duration::from_secs(3),
            connect: Duration::from_secs(5),
            statement: Duration::from_secs(10),
            idle_in_transaction: Duration::from_secs(30),
            max_age: Duration::from_secs(30 * 60),
            start: Duration::from_secs(15),
        }
    }
}

/// How much a transaction sees of others that run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Each statement sees what was committed before it.
    #[default]
    ReadCommitted,
    /// All statements see what was committed before the first: exports and reports.
    RepeatableRead,
    /// As if transactions ran one after the other.
    Serializable,
}

impl Isolation {
    pub(crate) fn as_sql(self) -> &'static str {
        match self {
            Self::ReadCommitted => "READ COMMITTED",
            Self::RepeatableRead => "REPEATABLE READ",
            Self::Serializable => "SERIALIZABLE",
        }
    }
}

/// The database of a process. Cheap to clone; connections are reached through transactions only.
#[derive(Clone)]
pub struct Database {
    pub(crate) pool: Pool<Connections>,
    /// Behind a pooler that does not know prepared statements.
    pub(crate) unprepared: bool,
    pub(crate) statement: Duration,
    pub(crate) idle_in_transaction: Duration,
    pub(crate) isolation: Isolation,
    pub(crate) snapshot: Option<Arc<str>>,
}

impl Database {
    /// Opens a pool and proves that it works. Waits a bounded time for a server that is not up yet.
    ///
    /// # Errors
    /// A URL that cannot be used, certificates that cannot be loaded, or no connection.
    pub async fn connect(url: &SecretString, options: PoolOptions) -> Result<Self, DatabaseError> {
        let target = Target::parse(url, &options.application_name, options.connect)?;
        first_connection(&target, options.start).await?;
        let unprepared = target.unprepared();
        let pool = pool(target, &options)?;
        Ok(Self {
            pool,
            unprepared,
            statement: options.statement,
            idle_in_transaction: options.idle_in_transaction,
            isolation: Isolation::default(),
            snapshot: None,
        })
    }

    /// The same pool, with another isolation of its transactions.
    pub fn isolated(&self, isolation: Isolation) -> Self {
        Self {
            isolation,
            ..self.clone()
        }
    }

    /// The same pool, whose transactions see what that snapshot does; none for a text that is not the name of one. A
    /// transaction fails to begin when the one that exported the snapshot is over, or was in another database.
    pub fn at_snapshot(&self, name: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
            return None;
        }
        Some(Self {
            isolation: Isolation::RepeatableRead,
            snapshot: Some(name.into()),
            ..self.clone()
        })
    }

    /// Whether the database answers within two seconds.
    pub async fn ready(&self) -> bool {
        let answer = async {
            let mut connection = self.lease().await?;
            let Some(mut driver) = connection.driver.take() else {
                return Err(DatabaseError::Silent);
            };
            let answer = driver.drive(connection.inner.batch_execute("SELECT 1")).await;
            connection.driver = Some(driver);
            answer.map_err(DatabaseError::from)
        };
        matches!(
            tokio::time::timeout(Duration::from_secs(2), answer).await,
            Ok(Ok(()))
        )
    }

    pub(crate) async fn lease(&self) -> Result<Pooled, DatabaseError> {
        self.pool
            .get()
            .await
            .map_err(|error| DatabaseError::Pool(Box::new(error)))
    }
}

fn pool(target: Target, options: &PoolOptions) -> Result<Pool<Connections>, DatabaseError> {
    let manager = Connections {
        target,
        max_age: options.max_age,
    };
    Pool::builder(manager)
        .max_size(options.max_size)
        .wait_timeout(Some(options.wait))
        .create_timeout(Some(options.connect))
        .recycle_timeout(Some(options.connect))
        .runtime(deadpool::Runtime::Tokio1)
        .build()
        .map_err(|error| DatabaseError::Url(error.to_string()))
}

/// A refused password will stay refused; a server that starts will be there soon.
async fn first_connection(target: &Target, patience: Duration) -> Result<(), DatabaseError> {
    let give_up = Instant::now() + patience;
    loop {
        match target.connect().await {
            Ok(_) => return Ok(()),
            Err(error) if may_pass(&error) && Instant::now() < give_up => {
                tracing::info!(
                    error = &error as &dyn std::error::Error,
                    "the database is not up yet"
                );
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn may_pass(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Silent => true,
        DatabaseError::Connect(error) => match error.code() {
            Some(code) => *code == SqlState::CANNOT_CONNECT_NOW,
            None => error.to_string().starts_with("error connecting to server"),
        },
        DatabaseError::Url(_)
        | DatabaseError::Certificates(_)
        | DatabaseError::SetUp(_)
        | DatabaseError::Pool(_)
        | DatabaseError::Query(_)
        | DatabaseError::Migrate { .. } => false,
    }
}
