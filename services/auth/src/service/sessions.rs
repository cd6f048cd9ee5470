//! Sessions as lists, for their persons and for the admins of a workspace, and the history of sign-ins (REF-10).

use causeway_context::{CallContext, SessionId, UserId};
use causeway_contracts::PermissionSet;
use causeway_outbox::OutboxEvent;
use uuid::Uuid;

use super::{AuthService, Fields};
use crate::domain::{Session, SignIn, Which};
use crate::error::AuthError;
use crate::page::Page;
use crate::store::history::Slice;

impl AuthService {
    /// A page of the caller's sessions, and where the next one starts.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], or a store that is away.
    pub(crate) async fn list_sessions(
        &self,
        ctx: &CallContext,
        page_size: i32,
        page_token: &str,
    ) -> Result<(Vec<Session>, String), AuthError> {
        let user = ctx.user()?;
        self.sessions_of(ctx, user, Which::default(), page_size, page_token)
            .await
    }

    /// A page of a member's sessions in the workspace of the call.
    ///
    /// # Errors
    /// [`AuthError::MemberNotFound`], [`AuthError::Invalid`], or a part that is away.
    pub(crate) async fn list_member_sessions(
        &self,
        ctx: &CallContext,
        user: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<(Vec<Session>, String), AuthError> {
        let (user, _) = self.member_of(ctx, user).await?;
        let which = Which {
            workspace: Some(ctx.workspace()?),
            except: None,
        };
        self.sessions_of(ctx, user, which, page_size, page_token).await
    }

    /// Ends one of the caller's sessions. A second time is as good as the first.
    ///
    /// # Errors
    /// [`AuthError::SessionNotFound`] for an id that is not one of the caller's sessions, or a store that is away.
    pub(crate) async fn delete_session(&self, ctx: &CallContext, id: &str) -> Result<(), AuthError> {
        let user = ctx.user()?;
        let id: SessionId = id.parse().map_err(|_| AuthError::SessionNotFound)?;
        let session = self
            .store
            .find_session(id)
            .await?
            .filter(|session| session.user == user)
            .ok_or(AuthError::SessionNotFound)?;
        self.close(ctx, &session, "revoked").await
    }

    /// Ends the caller's sessions, the one that asks only if that is said; answers how many.
    ///
    /// # Errors
    /// A store that is away.
    pub(crate) async fn delete_sessions(
        &self,
        ctx: &CallContext,
        include_current: bool,
    ) -> Result<usize, AuthError> {
        let which = Which {
            workspace: None,
            except: current(ctx).filter(|_| !include_current),
        };
        let fact = OutboxEvent::of(ctx)?.detail("cause", "revoked");
        let closed = self
            .store
            .close_sessions(ctx.user()?, which, ctx.now, fact)
            .await?;
        Ok(closed.len())
    }

    /// Ends the sessions of a member in the workspace of the call; answers how many.
    ///
    /// # Errors
    /// [`AuthError::MemberNotFound`], [`AuthError::RoleAboveOwn`], or a part that is away.
    pub(crate) async fn delete_member_sessions(
        &self,
        ctx: &CallContext,
        user: &str,
    ) -> Result<usize, AuthError> {
        let workspace = ctx.workspace()?;
        let (user, held) = self.member_of(ctx, user).await?;
        // A program has no role: what it may do says its scope.
        if self.whole(ctx).await?.is_some_and(|own| !own.includes(&held)) {
            return Err(AuthError::RoleAboveOwn);
        }
        let which = Which {
            workspace: Some(workspace),
            except: None,
        };
        let fact = OutboxEvent::of(ctx)?
            .detail("cause", "revoked_by_admin")
            .detail("user", user.to_string());
        let closed = self.store.close_sessions(user, which, ctx.now, fact).await?;
        Ok(closed.len())
    }

    /// A page of the caller's sign-ins, and where the next one starts.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], or a store that is away.
    pub(crate) async fn list_sign_ins(
        &self,
        ctx: &CallContext,
        page_size: i32,
        page_token: &str,
    ) -> Result<(Vec<SignIn>, String), AuthError> {
        let (user, slice) = (ctx.user()?, slice(page_size, page_token)?);
        let found = self.store.list_sign_ins(user, slice).await?;
        Ok(page(found, slice, |sign_in| sign_in.id))
    }

    async fn sessions_of(
        &self,
        ctx: &CallContext,
        user: UserId,
        which: Which,
        page_size: i32,
        page_token: &str,
    ) -> Result<(Vec<Session>, String), AuthError> {
        let slice = slice(page_size, page_token)?;
        let found = self.store.list_sessions(user, which, ctx.now, slice).await?;
        Ok(page(found, slice, |session| session.id.0))
    }

    /// A member of the workspace of the call, and what its role holds there.
    async fn member_of(&self, ctx: &CallContext, user: &str) -> Result<(UserId, PermissionSet), AuthError> {
        let workspace = ctx.workspace()?;
        let user: UserId = user.parse().map_err(|_| AuthError::MemberNotFound)?;
        let memberships = self.tenancy.memberships(&ctx.request_id, user).await?;
        let membership = memberships
            .into_iter()
            .find(|membership| membership.workspace == workspace)
            .ok_or(AuthError::MemberNotFound)?;
        Ok((user, membership.permissions()))
    }
}

/// The session that asks.
pub(crate) fn current(ctx: &CallContext) -> Option<SessionId> {
    ctx.caller.credential_id.parse().ok()
}

/// One more than asked for shows whether another page follows.
fn slice(page_size: i32, page_token: &str) -> Result<Slice, AuthError> {
    let mut fields = Fields::default();
    let size = fields.take("page_size", Page::size(page_size));
    let place = fields.take("page_token", Page::place(page_token));
    match (size, place) {
        (Some(size), Some(place)) => Ok(Slice {
            size: size + 1,
            before: place.map(|place| place.0),
        }),
        _ => Err(fields.into_error()),
    }
}

fn page<T>(mut found: Vec<T>, slice: Slice, id: impl Fn(&T) -> Uuid) -> (Vec<T>, String) {
    if found.len() < slice.size {
        return (found, String::new());
    }
    found.truncate(slice.size - 1);
    let next = found
        .last()
        .map(|last| Page::word(causeway_context::TokenId(id(last))));
    (found, next.unwrap_or_default())
}
