//! Devices on which somebody signed in before: they have a budget of guesses of their own, so that nobody locks their owner
//! out there.

use causeway_context::CallContext;
use secrecy::SecretString;

use super::AuthService;
use crate::domain::{Device, Email};

impl AuthService {
    /// What a device is told on which somebody has just signed in; nothing where devices are not known.
    pub(super) fn new_device(&self, ctx: &CallContext, email: &Email) -> Option<SecretString> {
        self.device_life?;
        Some(Device::new(ctx.now).text(email, |text| self.refresh_key.hash(text)))
    }

    /// The device that shows that text for the account with that address.
    pub(super) fn known_device(&self, ctx: &CallContext, email: &str, text: &str) -> Option<Device> {
        let (life, email) = (self.device_life?, Email::parse(email).ok()?);
        Device::read(text, &email, life, ctx.now, |text| self.refresh_key.hash(text))
    }
}
