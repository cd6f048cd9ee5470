//! Mail: what is written, and the way it goes out, beside the call that wanted it.

mod ses;

use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::MailConfig;
use crate::domain::{Email, MailPurpose};

pub(crate) use ses::SesMailer;

/// Letters that wait to go out; past them people have to ask again.
const WAITING: usize = 1_000;
/// How long to wait before a letter that could not be sent is tried again.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// What is to be told to whom.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    /// The address.
    pub(crate) to: Email,
    /// What its token does.
    pub(crate) purpose: MailPurpose,
    /// The token.
    pub(crate) token: SecretString,
}

/// What a person is told who did not ask for it.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    /// The address.
    pub(crate) to: Email,
    /// What was found where it should not be.
    pub(crate) what: &'static str,
}

/// What waits to go out.
#[derive(Debug)]
enum Item {
    Letter(Letter),
    Notice(Notice),
}

/// A mail as it goes out.
pub(crate) struct Mail {
    /// The address.
    pub(crate) to: Email,
    /// The subject.
    pub(crate) subject: &'static str,
    /// The text.
    pub(crate) text: SecretString,
}

/// A mail that did not go out.
#[derive(Debug, thiserror::Error)]
#[error("send a mail")]
pub(crate) struct MailError {
    /// Whether it may go out later.
    pub(crate) temporary: bool,
    #[source]
    cause: Box<dyn std::error::Error + Send + Sync>,
}

/// A way out.
#[async_trait]
pub(crate) trait Mailer: Send + Sync + 'static {
    /// Sends a mail.
    ///
    /// # Errors
    /// [`MailError`]; it may have gone out nevertheless.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}

/// The log instead of a mail, outside of production.
pub(crate) struct LogMailer {
    /// Whether the text is in it, with the link: in development, where it is what the log is read for.
    text: bool,
}

#[async_trait]
impl Mailer for LogMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        tracing::info!(
            to = masked(&mail.to),
            subject = mail.subject,
            text = if self.text {
                mail.text.expose_secret()
            } else {
                "left out"
            },
            "a mail that is not sent, as there is no SES_FROM_EMAIL"
        );
        Ok(())
    }
}

/// Enough of an address for who waits for the mail.
fn masked(email: &Email) -> String {
    let (local, domain) = email.as_str().split_once('@').unwrap_or_default();
    let first: String = local.chars().take(1).collect();
    format!("{first}***@{domain}")
}

/// Where letters are put.
#[derive(Clone, Default)]
pub(crate) struct Post(Option<mpsc::Sender<Item>>);

impl Post {
    /// Takes a letter. It goes out later, or not at all where no mail is sent.
    pub(crate) fn post(&self, letter: Letter) {
        self.put(Item::Letter(letter));
    }

    /// Takes a notice, in the same way.
    pub(crate) fn notify(&self, notice: Notice) {
        self.put(Item::Notice(notice));
    }

    fn put(&self, item: Item) {
        let Some(letters) = &self.0 else { return };
        if letters.try_send(item).is_err() {
            tracing::warn!("a mail is dropped, as too many wait to go out");
        }
    }
}

/// Carries letters to a mailer.
pub(crate) struct Carrier {
    letters: mpsc::Receiver<Item>,
    mailer: Box<dyn Mailer>,
    links: String,
}

/// The post of that configuration, and what carries its letters; nothing where no mail is sent.
pub(crate) async fn post(config: &MailConfig) -> (Post, Option<Carrier>) {
    let Some(links) = config.links.clone() else {
        return (Post::default(), None);
    };
    let mailer: Box<dyn Mailer> = match &config.from {
        Some(from) => Box::new(SesMailer::new(config, from.clone()).await),
        None if config.log => Box::new(LogMailer {
            text: config.log_text,
        }),
        None => return (Post::default(), None),
    };
    let (post, carrier) = with(mailer, links);
    (post, Some(carrier))
}

/// A post whose letters that mailer sends, with links below `links`.
pub(crate) fn with(mailer: Box<dyn Mailer>, links: String) -> (Post, Carrier) {
    let (sender, letters) = mpsc::channel(WAITING);
    let carrier = Carrier {
        letters,
        mailer,
        links: links.trim_end_matches('/').to_owned(),
    };
    (Post(Some(sender)), carrier)
}

impl Carrier {
    /// Sends what comes until it is stopped, and then what waits still.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while let Some(Some(letter)) = stop.run_until_cancelled(self.letters.recv()).await {
            self.carry(letter, &stop).await;
        }
        while let Ok(letter) = self.letters.try_recv() {
            self.carry(letter, &stop).await;
        }
    }

    async fn carry(&self, item: Item, stop: &CancellationToken) {
        let mail = match &item {
            Item::Letter(letter) => self.written(letter),
            Item::Notice(notice) => told(notice),
        };
        let mut pauses = PAUSES.iter();
        while let Err(error) = self.mailer.send(&mail).await {
            let pause = pauses.next().filter(|_| error.temporary && !stop.is_cancelled());
            let Some(pause) = pause else {
                let id = uuid::Uuid::new_v4();
                causeway_telemetry::report(&error, id, "a mail is lost; its reader has to ask again");
                return;
            };
            tokio::time::sleep(*pause).await;
        }
    }

    /// The token stands behind the `#`, which no browser sends and no log of a server has.
    fn written(&self, letter: &Letter) -> Mail {
        let token = letter.token.expose_secret();
        let (subject, page, what, life) = match letter.purpose {
            MailPurpose::Verify => (
                "Please confirm your address",
                "verify-email",
                "confirm that this address is yours",
                "24 hours",
            ),
            MailPurpose::Reset => (
                "Set a new password",
                "reset-password",
                "set a new password",
                "30 minutes",
            ),
        };
        let text = format!(
            "Follow this link to {what}:\n\n{}/{page}#token={token}\n\nIt works once, within {life}. If you did not ask \
             for it, do nothing: without the link nothing changes.\n",
            self.links
        );
        Mail {
            to: letter.to.clone(),
            subject,
            text: text.into(),
        }
    }
}

/// A notice has no link: who gets one that did not come from us learns nothing to click on.
fn told(notice: &Notice) -> Mail {
    let text = format!(
        "{} was found where others can read it, and was ended at once. Nobody can use it any more.\n\nIf a program of \
         yours needs it, make a new one and keep it secret. The audit log of the workspace has the event \
         `token.leaked`, with the place if it is known.\n",
        notice.what
    );
    Mail {
        to: notice.to.clone(),
        subject: "A credential of yours was found and ended",
        text: text.into(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
