use causeway_database::{DatabaseError, SystemTx};
use causeway_testkit::TestDb;

use super::HOLDING;
use crate::SCHEMA;

#[tokio::test(flavor = "multi_thread")]
async fn every_table_is_registered() {
    let Some(db) = TestDb::new(&[&SCHEMA]).await else {
        return;
    };
    let service = db.service().await;
    let findings = service
        .system(
            "registry",
            async |tx: &mut SystemTx| -> Result<_, DatabaseError> {
                Ok(causeway_holder::check_registry(tx, &HOLDING).await?)
            },
        )
        .await
        .expect("the database answers");
    assert_eq!(findings, []);
}
