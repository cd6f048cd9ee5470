//! Who keeps data of tenants: this service and others. Rotation, erasure and export go through all of them alike.
//!
//! The messages are those of the wire (`causeway/common/v1/holder.proto`): they are counts and names without rules of
//! their own, and a holder in this process answers the same as one that is a network away.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use causeway_contracts::auth::v1::auth_data_service_client::AuthDataServiceClient;
use causeway_contracts::common::v1::{
    CountBelowRequest, CountBelowResponse, EraseRequest, EraseResponse, ExportRequest, ExportResponse,
    RaiseFenceRequest, ReencryptRequest, ReencryptResponse,
};
use causeway_contracts::scoring::v1::scoring_data_service_client::ScoringDataServiceClient;
use causeway_mesh::{Mesh, MeshChannel};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tonic::{Request, Status};

/// How long a holder may take for a part of a rotation. Shorter than the lease of who asks.
const PART: Duration = Duration::from_secs(20);
/// How long it may take to erase a workspace or to send all of it.
const ALL: Duration = Duration::from_secs(600);

/// A holder that does not do what it is asked. Everything may be asked again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HolderError {
    /// Another service does not answer, or refuses.
    #[error("call the data service of {holder}")]
    Remote {
        /// Its name in the mesh.
        holder: &'static str,
        /// What it answered.
        #[source]
        source: Box<Status>,
    },
    /// This service cannot.
    #[error("work on the data of this service")]
    Local(#[source] Box<dyn Error + Send + Sync>),
}

impl HolderError {
    /// A failure in this process.
    pub(crate) fn local(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Local(Box::new(error))
    }
}

/// The parts of an export, table after table.
pub(crate) type Lines = BoxStream<'static, Result<ExportResponse, HolderError>>;

/// What a holder does with what it has sealed.
#[async_trait]
pub(crate) trait SealedData: Send + Sync + 'static {
    /// Seals a part of the workspace's sealed columns under the newest data key (ROT-02).
    async fn reencrypt(&self, request: ReencryptRequest) -> Result<ReencryptResponse, HolderError>;

    /// Forbids writes under lower versions: once this is answered none is or will be committed (ROT-05).
    async fn raise_fence(&self, request: RaiseFenceRequest) -> Result<(), HolderError>;

    /// Counts what lies under lower versions, table by table.
    async fn count_below(&self, request: CountBelowRequest) -> Result<CountBelowResponse, HolderError>;
}

/// What a holder does with all that it keeps of a tenant.
#[async_trait]
pub(crate) trait TenantData: Send + Sync + 'static {
    /// Erases the workspace, or one person in it.
    async fn erase(&self, request: EraseRequest) -> Result<EraseResponse, HolderError>;

    /// Everything that is kept of a workspace, without secrets.
    async fn export(&self, request: ExportRequest) -> Result<Lines, HolderError>;
}

/// A service that keeps data of tenants.
pub(crate) trait Holder: SealedData + TenantData {
    /// Its name in the mesh.
    fn name(&self) -> &'static str;
}

/// This service: two halves, which know nothing of each other.
pub(crate) struct InProcess {
    sealed: Arc<dyn SealedData>,
    data: Arc<dyn TenantData>,
}

impl InProcess {
    /// The holder of those halves.
    pub(crate) fn new(sealed: Arc<dyn SealedData>, data: Arc<dyn TenantData>) -> Self {
        Self { sealed, data }
    }
}

impl Holder for InProcess {
    fn name(&self) -> &'static str {
        crate::NAME
    }
}

#[async_trait]
impl SealedData for InProcess {
    async fn reencrypt(&self, request: ReencryptRequest) -> Result<ReencryptResponse, HolderError> {
        self.sealed.reencrypt(request).await
    }

    async fn raise_fence(&self, request: RaiseFenceRequest) -> Result<(), HolderError> {
        self.sealed.raise_fence(request).await
    }

    async fn count_below(&self, request: CountBelowRequest) -> Result<CountBelowResponse, HolderError> {
        self.sealed.count_below(request).await
    }
}

#[async_trait]
impl TenantData for InProcess {
    async fn erase(&self, request: EraseRequest) -> Result<EraseResponse, HolderError> {
        self.data.erase(request).await
    }

    async fn export(&self, request: ExportRequest) -> Result<Lines, HolderError> {
        self.data.export(request).await
    }
}

/// The generated clients differ in nothing but their name.
macro_rules! remote {
    ($(#[$about:meta])* $holder:ident, $name:literal, $client:ident) => {
        $(#[$about])*
        pub(crate) struct $holder($client<MeshChannel>);

        impl $holder {
            /// The holder behind the mesh.
            pub(crate) fn new(mesh: &Mesh) -> Self {
                Self($client::new(mesh.to($name)))
            }
        }

        impl Holder for $holder {
            fn name(&self) -> &'static str {
                $name
            }
        }

        #[async_trait]
        impl SealedData for $holder {
            async fn reencrypt(&self, request: ReencryptRequest) -> Result<ReencryptResponse, HolderError> {
                answered($name, self.0.clone().reencrypt(within(PART, request)).await)
            }

            async fn raise_fence(&self, request: RaiseFenceRequest) -> Result<(), HolderError> {
                answered($name, self.0.clone().raise_fence(within(PART, request)).await).map(|_| ())
            }

            async fn count_below(&self, request: CountBelowRequest) -> Result<CountBelowResponse, HolderError> {
                answered($name, self.0.clone().count_below(within(PART, request)).await)
            }
        }

        #[async_trait]
        impl TenantData for $holder {
            async fn erase(&self, request: EraseRequest) -> Result<EraseResponse, HolderError> {
                answered($name, self.0.clone().erase(within(ALL, request)).await)
            }

            async fn export(&self, request: ExportRequest) -> Result<Lines, HolderError> {
                let lines = answered($name, self.0.clone().export(within(ALL, request)).await)?;
                Ok(lines.map(|part| part.map_err(|status| failed($name, status))).boxed())
            }
        }
    };
}

remote!(
    /// What auth keeps.
    Auth,
    "auth",
    AuthDataServiceClient
);
remote!(
    /// What scoring keeps.
    Scoring,
    "scoring",
    ScoringDataServiceClient
);

fn within<T>(time: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(time);
    request
}

fn answered<T>(holder: &'static str, answer: Result<tonic::Response<T>, Status>) -> Result<T, HolderError> {
    answer
        .map(tonic::Response::into_inner)
        .map_err(|status| failed(holder, status))
}

fn failed(holder: &'static str, source: Status) -> HolderError {
    HolderError::Remote {
        holder,
        source: Box::new(source),
    }
}

/// Every holder, this service first.
#[derive(Clone)]
pub(crate) struct Holders(Arc<[Arc<dyn Holder>]>);

impl Holders {
    /// This service and the others.
    pub(crate) fn new(mesh: &Mesh, own: InProcess) -> Self {
        Self::of([
            Arc::new(own) as Arc<dyn Holder>,
            Arc::new(Auth::new(mesh)),
            Arc::new(Scoring::new(mesh)),
        ])
    }

    /// Those holders.
    pub(crate) fn of(holders: impl IntoIterator<Item = Arc<dyn Holder>>) -> Self {
        Self(holders.into_iter().collect())
    }

    /// All of them, in an order that does not change.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<dyn Holder>> {
        self.0.iter()
    }
}

/// The sealed halves of every holder, this service first: what a rotation goes through.
pub(crate) fn sealed(mesh: &Mesh, own: Arc<dyn SealedData>) -> Sealed {
    Arc::new([own, Arc::new(Auth::new(mesh)), Arc::new(Scoring::new(mesh))])
}

/// The sealed halves of holders, in an order that does not change.
pub(crate) type Sealed = Arc<[Arc<dyn SealedData>]>;
