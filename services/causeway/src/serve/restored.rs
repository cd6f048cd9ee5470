//! A database that was restored from a backup brings back what was erased after it. The ledger of erasures knows, and
//! nothing is served before it is erased again (ERA-03).

use anyhow::Context as _;
use causeway_database::{Database, DatabaseError, Finding, SystemTx};
use chrono::{DateTime, Utc};

/// Where the schemas and the ledger of erasures do not fit. An erasure of another process may come between the look at
/// the one and at the other, so only what is found twice counts.
///
/// # Errors
/// No answer from the database.
pub(super) async fn check(database: &Database) -> anyhow::Result<Vec<Finding>> {
    let first = compare(database).await?;
    if first.is_empty() {
        return Ok(first);
    }
    let second = compare(database).await?;
    Ok(second
        .into_iter()
        .filter(|finding| first.contains(finding))
        .collect())
}

async fn compare(database: &Database) -> anyhow::Result<Vec<Finding>> {
    let ledger = causeway_tenancy::Restored::new(database.clone());
    let buried = &ledger.ledger().await.context("read the ledger")?;
    let mut findings = Vec::new();
    for holding in [&causeway_tenancy::HOLDING, &causeway_auth::HOLDING] {
        let missing = database
            .system(
                "database.tombstones",
                async |tx: &mut SystemTx| -> Result<_, DatabaseError> {
                    Ok(causeway_holder::unapplied(tx, holding, buried).await?)
                },
            )
            .await;
        findings.extend(missing.context("compare with the ledger")?);
    }
    findings.extend(ledger.revived_keys(buried).await.context("look for keys")?);
    findings.extend(ledger.broken_receipts().await.context("read the receipts")?);
    Ok(findings)
}

/// Erases again what the ledger says; answers how many tombstones there are. May be begun again at any time.
///
/// # Errors
/// No answer from the database.
pub(super) async fn replay(database: &Database, now: DateTime<Utc>) -> anyhow::Result<usize> {
    let ledger = causeway_tenancy::Restored::new(database.clone());
    let auth = causeway_auth::Restored::new(database.clone());
    let buried = ledger.ledger().await.context("read the ledger")?;
    let finished = buried.into_iter().filter(|buried| buried.finished);
    let mut count = 0;
    for mut tombstone in finished.map(|buried| buried.tombstone) {
        if let Some(subject) = tombstone.subject {
            tombstone.addresses = auth.address_of(subject).await?.into_iter().collect();
        }
        tombstone.leavers = ledger.replay(&tombstone, now).await?;
        auth.replay(&tombstone, now).await?;
        count += 1;
    }
    Ok(count)
}
