//! Addresses and passwords on the wire.

use causeway_contracts::auth::v1 as wire;
use causeway_contracts::auth::v1::recovery_service_server::RecoveryService;

use super::{Answer, ApiError, Grpc, Request, Response, call};

#[tonic::async_trait]
impl RecoveryService for Grpc {
    async fn verify_email(
        &self,
        request: Request<wire::VerifyEmailRequest>,
    ) -> Answer<wire::VerifyEmailResponse> {
        let (ctx, wire::VerifyEmailRequest { token }) = call(request)?;
        self.0.verify_email(&ctx, &token).await.map_err(ApiError::from)?;
        Ok(Response::new(wire::VerifyEmailResponse {}))
    }

    async fn resend_verification(
        &self,
        request: Request<wire::ResendVerificationRequest>,
    ) -> Answer<wire::ResendVerificationResponse> {
        let (ctx, wire::ResendVerificationRequest { email }) = call(request)?;
        let asked = self.0.resend_verification(&ctx, &email).await;
        asked.map_err(ApiError::from)?;
        Ok(Response::new(wire::ResendVerificationResponse {}))
    }

    async fn forgot_password(
        &self,
        request: Request<wire::ForgotPasswordRequest>,
    ) -> Answer<wire::ForgotPasswordResponse> {
        let (ctx, wire::ForgotPasswordRequest { email }) = call(request)?;
        self.0
            .forgot_password(&ctx, &email)
            .await
            .map_err(ApiError::from)?;
        Ok(Response::new(wire::ForgotPasswordResponse {}))
    }

    async fn reset_password(
        &self,
        request: Request<wire::ResetPasswordRequest>,
    ) -> Answer<wire::ResetPasswordResponse> {
        let (ctx, wire::ResetPasswordRequest { token, password }) = call(request)?;
        let done = self.0.reset_password(&ctx, &token, password).await;
        done.map_err(ApiError::from)?;
        Ok(Response::new(wire::ResetPasswordResponse {}))
    }

    async fn change_password(
        &self,
        request: Request<wire::ChangePasswordRequest>,
    ) -> Answer<wire::ChangePasswordResponse> {
        let (ctx, request) = call(request)?;
        let done = self
            .0
            .change_password(&ctx, request.current_password, request.new_password)
            .await;
        done.map_err(ApiError::from)?;
        Ok(Response::new(wire::ChangePasswordResponse {}))
    }
}
