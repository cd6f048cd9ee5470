use std::sync::{Arc, Mutex};

use causeway_crypto::token;
use causeway_testkit::Moto;

use super::*;

/// The mails, and how often sending fails before.
type Kept = (Vec<(String, String)>, usize);

/// Keeps what is sent; fails as often as it is told first.
#[derive(Clone, Default)]
pub(crate) struct Sent(Arc<Mutex<Kept>>);

impl Sent {
    /// What was sent: to whom, and the text.
    pub(crate) fn mails(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap().0.clone()
    }
}

#[async_trait]
impl Mailer for Sent {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let mut kept = self.0.lock().unwrap();
        if kept.1 > 0 {
            kept.1 -= 1;
            return Err(MailError {
                temporary: true,
                cause: "away".into(),
            });
        }
        let text = mail.text.expose_secret().to_owned();
        kept.0.push((mail.to.as_str().to_owned(), text));
        Ok(())
    }
}

fn letter(purpose: MailPurpose) -> Letter {
    Letter {
        to: Email::parse("ada@example.com").expect("an address"),
        purpose,
        token: token::mint(purpose.prefix()).secret,
    }
}

#[tokio::test(start_paused = true)]
async fn a_letter_goes_out_with_its_link_and_again_when_it_could_not() {
    let sent = Sent::default();
    sent.0.lock().unwrap().1 = 2;
    let (post, carrier) = with(Box::new(sent.clone()), "https://door.example/".to_owned());
    let letter = letter(MailPurpose::Reset);
    post.post(letter.clone());
    let stop = CancellationToken::new();
    let run = carrier.run(stop.clone());
    let watch = async {
        while sent.mails().is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        stop.cancel();
    };
    tokio::join!(run, watch);
    let [(to, text)] = &sent.mails()[..] else {
        panic!("one mail")
    };
    assert_eq!(to, "ada@example.com");
    let link = format!(
        "https://door.example/reset-password#token={}",
        letter.token.expose_secret()
    );
    assert!(text.contains(&link), "{text}");
}

#[tokio::test]
async fn what_waits_when_it_is_stopped_still_goes_out() {
    let sent = Sent::default();
    let (post, carrier) = with(Box::new(sent.clone()), String::new());
    for _ in 0..3 {
        post.post(letter(MailPurpose::Verify));
    }
    let stop = CancellationToken::new();
    stop.cancel();
    carrier.run(stop).await;
    assert_eq!(sent.mails().len(), 3);
}

#[tokio::test]
async fn no_mail_is_sent_without_a_sender_in_production_or_without_an_address_for_links() {
    let nothing = MailConfig {
        links: Some("https://door.example".to_owned()),
        ..MailConfig::default()
    };
    assert!(post(&nothing).await.1.is_none(), "no sender, no log");
    let no_links = MailConfig {
        log: true,
        ..MailConfig::default()
    };
    assert!(post(&no_links).await.1.is_none(), "no links");
    let logged = MailConfig { log: true, ..nothing };
    assert!(post(&logged).await.1.is_some());
}

#[test]
fn a_logged_address_is_not_readable_in_full() {
    assert_eq!(masked(&letter(MailPurpose::Verify).to), "a***@example.com");
}

/// moto knows a sender that was made an identity; another one is refused, as by SES.
#[tokio::test(flavor = "multi_thread")]
async fn ses_takes_a_mail_of_a_sender_that_it_knows() {
    let Some(moto) = Moto::start().await else { return };
    let client = client(&moto);
    client
        .create_email_identity()
        .email_identity("causeway@example.com")
        .send()
        .await
        .expect("made");
    let mailer = |from: &str| SesMailer {
        client: client.clone(),
        from: from.to_owned(),
    };
    let letter = letter(MailPurpose::Verify);
    let (_, carrier) = with(Box::new(Sent::default()), "https://door.example".to_owned());
    let mail = carrier.written(&letter);
    mailer("causeway@example.com").send(&mail).await.expect("sent");
    let refused = mailer("somebody@else.example").send(&mail).await;
    assert!(!refused.expect_err("an unknown sender").temporary);
    moto.stop().await;
    let away = mailer("causeway@example.com").send(&mail).await;
    assert!(away.expect_err("nobody there").temporary);
}

fn client(moto: &Moto) -> aws_sdk_sesv2::Client {
    use aws_sdk_sesv2::config::{Config, Credentials, Region};
    let credentials = Credentials::builder()
        .access_key_id("causeway")
        .secret_access_key("of the tests")
        .provider_name("test");
    let config = Config::builder()
        .region(Region::new("eu-west-1"))
        .credentials_provider(credentials.build())
        .retry_config(aws_sdk_sesv2::config::retry::RetryConfig::disabled())
        .endpoint_url(moto.url());
    aws_sdk_sesv2::Client::from_conf(config.build())
}
