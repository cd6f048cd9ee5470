//! The program with its key-encryption key in AWS KMS, for which moto stands in: found by its settings, signed for with
//! what the environment holds.

use aws_sdk_kms::config::{Credentials, Region};
use aws_sdk_kms::types::KeyUsageType;
use aws_sdk_kms::{Client as Aws, Config};
use causeway_testkit::Moto;
use serde_json::json;

use crate::http::Client;
use crate::mesh::account;
use crate::processes::Whole;

const ALIAS: &str = "alias/causeway";
const REGION: &str = "eu-west-1";

async fn make_key(moto: &Moto) {
    let credentials = Credentials::builder()
        .access_key_id("operator")
        .secret_access_key("of the tests")
        .provider_name("test");
    let config = Config::builder()
        .region(Region::new(REGION))
        .credentials_provider(credentials.build())
        .endpoint_url(moto.url());
    let aws = Aws::from_conf(config.build());
    let request = aws.create_key().key_usage(KeyUsageType::EncryptDecrypt);
    let key = request.send().await.unwrap().key_metadata.unwrap();
    let request = aws.create_alias().alias_name(ALIAS).target_key_id(key.key_id());
    request.send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_lie_under_a_key_in_kms_and_are_read_on_while_it_is_away() {
    let Some(moto) = Moto::start().await else { return };
    make_key(&moto).await;
    let url = moto.url().to_owned();
    let environment = [
        ("NODE_ENV", "test"),
        ("KMS_KEY_ID", ALIAS),
        ("KMS_REGION", REGION),
        ("KMS_ENDPOINT_URL", &url),
        ("AWS_ACCESS_KEY_ID", "causeway"),
        ("AWS_SECRET_ACCESS_KEY", "of the tests"),
    ];
    let mut whole = Whole::start(&environment, &[]).await;
    let warm = account(&Client::new(&whole.base), "warm").await;
    let cold = account(&Client::new(&whole.base), "cold").await;
    let secret = json!({"kind": "custom", "value": "v1"});
    warm.client.put("/v1/secrets/s", secret.clone()).await.json(200);

    moto.stop().await;
    let shown = warm
        .client
        .post("/v1/secrets/s/reveal", json!({}))
        .await
        .json(200);
    assert_eq!(shown["value"], "v1");
    let refused = cold.client.put("/v1/secrets/s", secret).await;
    assert!(!refused.header("retry-after").is_empty(), "{}", refused.body);
    assert_eq!(refused.reason(503), "KEY_UNAVAILABLE");
    whole.child.kill().await.unwrap();
}
