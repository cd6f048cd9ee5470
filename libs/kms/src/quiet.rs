//! Keeps the bodies of requests out of the SDK's trace lines, which show a request as it is sent: what asks to wrap a
//! data key holds that key.

use aws_sdk_kms::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_kms::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kms::error::BoxError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::Full;

/// Sends the same bytes in a body of a kind that has no readable form.
#[derive(Debug)]
pub(crate) struct UnreadableBody;

impl Intercept for UnreadableBody {
    fn name(&self) -> &'static str {
        "UnreadableBody"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.request_mut().body_mut();
        if let Some(bytes) = body.bytes().map(Bytes::copy_from_slice) {
            *body = SdkBody::from_body_1_x(Full::new(bytes));
        }
        Ok(())
    }
}
