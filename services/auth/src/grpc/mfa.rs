//! The RPCs of second factors.

use causeway_context::Caller;
use causeway_contracts::auth::v1 as wire;
use causeway_contracts::auth::v1::mfa_service_server::MfaService as Rpc;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Answer, ApiError, BEARER, Grpc, Request, Response, call, to_timestamp};
use crate::service::{Elevated, FactorState};

#[tonic::async_trait]
impl Rpc for Grpc {
    async fn verify_login(
        &self,
        request: Request<wire::VerifyLoginRequest>,
    ) -> Answer<wire::VerifyLoginResponse> {
        let (ctx, wire::VerifyLoginRequest { mfa_token, code }) = call(request)?;
        let (tokens, device) = self
            .0
            .verify_login(&ctx, &mfa_token, &code)
            .await
            .map_err(ApiError::from)?;
        Ok(Response::new(wire::VerifyLoginResponse {
            access_token: tokens.access.expose_secret().to_owned(),
            token_type: BEARER.to_owned(),
            expires_in: tokens.access_life.num_seconds(),
            workspace_id: tokens.workspace.to_string(),
            refresh_token: tokens.refresh.expose_secret().to_owned(),
            session_id: tokens.session.to_string(),
            device_token: super::shown(device.as_ref()),
        }))
    }

    async fn enroll_totp(
        &self,
        request: Request<wire::EnrollTotpRequest>,
    ) -> Answer<wire::EnrollTotpResponse> {
        let (ctx, wire::EnrollTotpRequest { password }) = call(request)?;
        let enrolled = self.0.enrol_totp(&ctx, password).await.map_err(ApiError::from)?;
        Ok(Response::new(wire::EnrollTotpResponse {
            otpauth_uri: enrolled.uri.expose_secret().to_owned(),
            secret: enrolled.secret.expose_secret().to_owned(),
            recovery_codes: shown(&enrolled.recovery_codes),
        }))
    }

    async fn confirm_totp(
        &self,
        request: Request<wire::ConfirmTotpRequest>,
    ) -> Answer<wire::ConfirmTotpResponse> {
        let (ctx, wire::ConfirmTotpRequest { code }) = call(request)?;
        let Elevated { access, access_life } =
            self.0.confirm_totp(&ctx, &code).await.map_err(ApiError::from)?;
        Ok(Response::new(wire::ConfirmTotpResponse {
            access_token: access.expose_secret().to_owned(),
            token_type: BEARER.to_owned(),
            expires_in: access_life.num_seconds(),
        }))
    }

    async fn remove_totp(
        &self,
        request: Request<wire::RemoveTotpRequest>,
    ) -> Answer<wire::RemoveTotpResponse> {
        let (ctx, wire::RemoveTotpRequest { code }) = call(request)?;
        self.0.remove_totp(&ctx, &code).await.map_err(ApiError::from)?;
        Ok(Response::new(wire::RemoveTotpResponse {}))
    }

    async fn regenerate_recovery_codes(
        &self,
        request: Request<wire::RegenerateRecoveryCodesRequest>,
    ) -> Answer<wire::RegenerateRecoveryCodesResponse> {
        let (ctx, wire::RegenerateRecoveryCodesRequest { code }) = call(request)?;
        let codes = self
            .0
            .regenerate_recovery_codes(&ctx, &code)
            .await
            .map_err(ApiError::from)?;
        Ok(Response::new(wire::RegenerateRecoveryCodesResponse {
            recovery_codes: shown(&codes),
        }))
    }

    async fn verify_session(
        &self,
        request: Request<wire::VerifySessionRequest>,
    ) -> Answer<wire::VerifySessionResponse> {
        let (ctx, wire::VerifySessionRequest { code }) = call(request)?;
        let Elevated { access, access_life } =
            self.0.verify_session(&ctx, &code).await.map_err(ApiError::from)?;
        Ok(Response::new(wire::VerifySessionResponse {
            access_token: access.expose_secret().to_owned(),
            token_type: BEARER.to_owned(),
            expires_in: access_life.num_seconds(),
        }))
    }
}

/// The answer to a login that has to be finished with a second factor.
pub(super) fn second_step(token: &SecretString) -> wire::LoginResponse {
    wire::LoginResponse {
        mfa_required: Some(true),
        mfa_token: Some(token.expose_secret().to_owned()),
        ..wire::LoginResponse::default()
    }
}

/// How the caller stands to the person's second factor.
pub(super) fn second_factor(caller: &Caller, factor: &FactorState) -> wire::SecondFactor {
    wire::SecondFactor {
        enrolled: factor.confirmed_at.is_some(),
        confirmed_at: factor.confirmed_at.map(to_timestamp),
        recovery_codes_left: i32::try_from(factor.recovery_codes_left).unwrap_or(i32::MAX),
        passed: caller.mfa,
        required: caller.mfa_required,
    }
}

fn shown(codes: &[SecretString]) -> Vec<String> {
    codes.iter().map(|code| code.expose_secret().to_owned()).collect()
}
