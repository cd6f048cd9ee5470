//! Mail by Amazon SES.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_sdk_sesv2::config::retry::RetryConfig;
use aws_sdk_sesv2::config::timeout::TimeoutConfig;
use aws_sdk_sesv2::config::{AppName, Region, SharedCredentialsProvider};
use aws_sdk_sesv2::error::{BuildError, DisplayErrorContext, ProvideErrorMetadata as _, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use aws_sdk_sesv2::{Client, Config};
use secrecy::ExposeSecret as _;

use super::{Mail, MailError, Mailer};
use crate::config::MailConfig;

const PATIENCE: Duration = Duration::from_secs(10);
const CHARSET: &str = "UTF-8";

/// Sends by SES, signed for with what the environment holds.
pub(crate) struct SesMailer {
    pub(super) client: Client,
    pub(super) from: String,
}

impl SesMailer {
    /// A mailer without connections; nothing is asked yet.
    pub(crate) async fn new(options: &MailConfig, from: String) -> Self {
        let region = Region::new(options.region.clone());
        let chain = DefaultCredentialsChain::builder()
            .region(region.clone())
            .build()
            .await;
        let timeouts = TimeoutConfig::builder().operation_timeout(PATIENCE).build();
        let mut config = Config::builder()
            .region(region)
            .credentials_provider(SharedCredentialsProvider::new(chain))
            .timeout_config(timeouts)
            // Letters are carried again by who carries them.
            .retry_config(RetryConfig::disabled());
        config.set_endpoint_url(options.endpoint_url.clone());
        config.set_app_name(AppName::new("causeway").ok());
        Self {
            client: Client::from_conf(config.build()),
            from,
        }
    }
}

fn content(text: &str) -> Result<Content, BuildError> {
    Content::builder().data(text).charset(CHARSET).build()
}

fn written(mail: &Mail) -> Result<EmailContent, BuildError> {
    let body = Body::builder().text(content(mail.text.expose_secret())?).build();
    let message = Message::builder()
        .subject(content(mail.subject)?)
        .body(body)
        .build();
    Ok(EmailContent::builder().simple(message).build())
}

#[async_trait]
impl Mailer for SesMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = written(mail).map_err(|error| MailError {
            temporary: false,
            cause: error.into(),
        })?;
        let request = self
            .client
            .send_email()
            .from_email_address(&self.from)
            .destination(Destination::builder().to_addresses(mail.to.as_str()).build())
            .content(message);
        request.send().await.map(drop).map_err(failed)
    }
}

/// What SES refuses for good is not sent again; all else may be.
fn failed(error: SdkError<SendEmailError>) -> MailError {
    let temporary = match &error {
        SdkError::ServiceError(refused) => {
            let throttled = refused.err().code() == Some("TooManyRequestsException");
            throttled || refused.raw().status().is_server_error()
        }
        SdkError::ConstructionFailure(_) => false,
        _ => true,
    };
    MailError {
        temporary,
        // The SDK's own text leaves its causes out.
        cause: DisplayErrorContext(error).to_string().into(),
    }
}
