//! Persons as the platform sees them, on the wire.

use causeway_contracts::auth::v1 as wire;
use causeway_contracts::auth::v1::person_service_server::PersonService;

use super::{Answer, ApiError, Grpc, Request, Response, call, to_timestamp};
use crate::domain::Person;

#[tonic::async_trait]
impl PersonService for Grpc {
    async fn get_platform_user(
        &self,
        request: Request<wire::GetPlatformUserRequest>,
    ) -> Answer<wire::GetPlatformUserResponse> {
        let (ctx, wire::GetPlatformUserRequest { user_id }) = call(request)?;
        let found = self.0.platform_user(&ctx, &user_id).await;
        Ok(Response::new(wire::GetPlatformUserResponse {
            user: Some(encode(found.map_err(ApiError::from)?)),
        }))
    }

    async fn disable_platform_user(
        &self,
        request: Request<wire::DisablePlatformUserRequest>,
    ) -> Answer<wire::DisablePlatformUserResponse> {
        let (ctx, wire::DisablePlatformUserRequest { user_id, reason }) = call(request)?;
        let changed = self.0.disable_user(&ctx, &user_id, &reason).await;
        Ok(Response::new(wire::DisablePlatformUserResponse {
            user: Some(encode(changed.map_err(ApiError::from)?)),
        }))
    }

    async fn enable_platform_user(
        &self,
        request: Request<wire::EnablePlatformUserRequest>,
    ) -> Answer<wire::EnablePlatformUserResponse> {
        let (ctx, wire::EnablePlatformUserRequest { user_id }) = call(request)?;
        let changed = self.0.enable_user(&ctx, &user_id).await;
        Ok(Response::new(wire::EnablePlatformUserResponse {
            user: Some(encode(changed.map_err(ApiError::from)?)),
        }))
    }
}

fn encode(person: Person) -> wire::PlatformUser {
    let email = person.email.map(|email| email.as_str().to_owned());
    let plain = wire::PlatformUser {
        id: person.user.to_string(),
        email: email.unwrap_or_default(),
        ..wire::PlatformUser::default()
    };
    match person.disabled {
        None => plain,
        Some(disabled) => wire::PlatformUser {
            disabled: true,
            disabled_at: Some(to_timestamp(disabled.at)),
            disabled_by: disabled.by,
            reason: disabled.reason.as_str().to_owned(),
            ..plain
        },
    }
}
