//! Makes exports: everything that every holder keeps of a workspace, as of one moment.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use causeway_contracts::common::v1::{ExportRequest, ExportResponse};
use causeway_outbox::Outcome;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures::StreamExt as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::writer::Writer;
use crate::domain::{Content, EXPORT_ATTEMPTS, Export, ExportedTable, hex};
use crate::holders::{HolderError, Holders};
use crate::service::background_fact;
use crate::store::{StoreError, TenancyStore, WorkLease};

/// How long an export may go on without a new chunk.
const LEASE: TimeDelta = TimeDelta::minutes(2);
const PAUSE: Duration = Duration::from_secs(1);
const PURGE: usize = 100;
/// How often it is looked for exports whose time is over, in pauses.
const SWEEP: u32 = 60;

/// An export that was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// The store, or another worker that has it.
    #[error("write the export")]
    Store(#[from] StoreError),
    /// A holder of data.
    #[error("export from {holder}")]
    Holder {
        /// Its name.
        holder: &'static str,
        /// Why it could not.
        #[source]
        source: HolderError,
    },
    /// The recipient is not one.
    #[error("the recipient cannot be encrypted to")]
    Recipient,
    /// The bytes were not encrypted.
    #[error("encrypt the export")]
    Encrypt(#[source] std::io::Error),
    /// The snapshot ended before everybody had sent what they see in it: some may have sent a later moment.
    #[error("the snapshot ended before the last holder was done")]
    Moments,
    /// A holder sent something else than rows.
    #[error("{0} sent lines that are no rows")]
    Malformed(&'static str),
}

/// The background work of exports.
pub(crate) struct ExportJob {
    /// Where exports are.
    pub(crate) store: Arc<dyn TenancyStore>,
    /// Everybody who keeps data, this service first.
    pub(crate) holders: Holders,
    /// The time.
    pub(crate) clock: fn() -> DateTime<Utc>,
}

impl ExportJob {
    /// Works until it is stopped. An export in hand is begun anew by whoever comes next.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut pauses = 0;
        while stop
            .run_until_cancelled(tokio::time::sleep(PAUSE))
            .await
            .is_some()
        {
            if pauses % SWEEP == 0
                && let Err(error) = self.store.purge_exports((self.clock)(), PURGE).await
            {
                causeway_telemetry::report(&error, Uuid::now_v7(), "old exports wait to be thrown away");
            }
            pauses = (pauses + 1) % SWEEP;
            while let Some(made) = stop.run_until_cancelled(self.round()).await {
                match made {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        causeway_telemetry::report(&error, Uuid::now_v7(), "an export did not go through");
                        break;
                    }
                }
            }
        }
    }

    /// Makes one export. False if there is none to make.
    pub(crate) async fn round(&self) -> Result<bool, ExportError> {
        let now = (self.clock)();
        let lease = WorkLease {
            token: Uuid::now_v7(),
            until: now + LEASE,
        };
        let Some((export, attempts)) = self.store.claim_export(now, lease).await? else {
            return Ok(false);
        };
        let made = self.make(&export, lease).await;
        if let Err(error) = made {
            if attempts >= EXPORT_ATTEMPTS {
                self.finish(&export, lease, None).await?;
            }
            return Err(error);
        }
        Ok(true)
    }

    async fn make(&self, export: &Export, lease: WorkLease) -> Result<(), ExportError> {
        // Held until every holder has sent its rows: they all see the same moment (EXP-02).
        let snapshot = self.store.snapshot().await?;
        let request = ExportRequest {
            workspace_id: export.workspace.to_string(),
            snapshot: snapshot
                .as_ref()
                .map(|snapshot| snapshot.name().to_owned())
                .unwrap_or_default(),
        };
        let mut writer = Writer::new(&*self.store, export, lease, LEASE, self.clock)?;
        let header = json!({
            "causeway_export": 1,
            "id": export.id,
            "workspace_id": export.workspace,
            "at": (self.clock)().to_rfc3339_opts(SecondsFormat::Millis, true),
        });
        writer.write(format!("{header}\n").as_bytes()).await?;
        let mut tables = Tables::default();
        for holder in self.holders.iter() {
            let failed = |source| ExportError::Holder {
                holder: holder.name(),
                source,
            };
            let mut parts = holder.export(request.clone()).await.map_err(failed)?;
            while let Some(part) = parts.next().await {
                let lines = tables.take(holder.name(), &part.map_err(failed)?)?;
                writer.write(&lines).await?;
            }
        }
        if let Some(snapshot) = snapshot
            && !snapshot.release().await
        {
            return Err(ExportError::Moments);
        }
        let tables = tables.finish();
        let manifest = json!({ "manifest": { "tables": tables } });
        writer.write(format!("{manifest}\n").as_bytes()).await?;
        let content = writer.finish(tables).await?;
        self.finish(export, lease, Some(&content)).await
    }

    async fn finish(
        &self,
        export: &Export,
        lease: WorkLease,
        content: Option<&Content>,
    ) -> Result<(), ExportError> {
        let fact = background_fact(export.workspace, "export.made", (self.clock)());
        let fact = fact.target("export", export.id.to_string());
        let fact = match content {
            Some(content) => fact.detail("size_bytes", content.size_bytes),
            None => fact.outcome(Outcome::Failure),
        };
        Ok(self
            .store
            .finish_export(export, lease.token, content, fact)
            .await?)
    }
}

/// The tables that were written, the last one still being counted.
#[derive(Default)]
struct Tables {
    done: Vec<ExportedTable>,
    open: Option<(String, u64, Context)>,
}

impl Tables {
    /// Counts a part; its rows as they stand in the file.
    fn take(&mut self, holder: &'static str, part: &ExportResponse) -> Result<Vec<u8>, ExportError> {
        if self.open.as_ref().is_none_or(|(table, ..)| *table != part.table) {
            self.close();
            self.open = Some((part.table.clone(), 0, Context::new(&SHA256)));
        }
        let table = json!(part.table).to_string();
        let mut lines = Vec::with_capacity(part.lines.len() * 2);
        let mut rows = 0;
        for line in part
            .lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            if !(line.starts_with(b"{") && line.ends_with(b"}")) {
                return Err(ExportError::Malformed(holder));
            }
            lines.extend_from_slice(b"{\"table\":");
            lines.extend_from_slice(table.as_bytes());
            lines.extend_from_slice(b",\"row\":");
            lines.extend_from_slice(line);
            lines.extend_from_slice(b"}\n");
            rows += 1;
        }
        if u64::try_from(part.rows).ok() != Some(rows) {
            return Err(ExportError::Malformed(holder));
        }
        if let Some((_, count, hash)) = &mut self.open {
            *count += rows;
            hash.update(&lines);
        }
        Ok(lines)
    }

    fn close(&mut self) {
        if let Some((table, rows, hash)) = self.open.take() {
            self.done.push(ExportedTable {
                table,
                rows,
                sha256: hex(hash.finish().as_ref()),
            });
        }
    }

    fn finish(mut self) -> Vec<ExportedTable> {
        self.close();
        self.done
    }
}
