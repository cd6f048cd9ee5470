//! Second factors as rows.

mod rows;

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_database::{SystemTx, WorkspaceTx};
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::query_dsl::methods;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use self::rows::{
    FactorRow, TriesRow, add_codes, enrol, factor_tries, factors, forgive, key_fences, pass, recovery_codes,
};
pub(super) use self::rows::{is_confirmed, passed_factors, second_factors};
use super::history::end_sessions;
use super::{PgStore, corrupt, failed, keep};
use crate::domain::{Admission, Factor, FactorStanding, Hash, NewFactor, PassedBy, SealedSeed, Tries};
use crate::store::history::Closing;
use crate::store::{FactorStore, StoreError};

#[async_trait]
impl FactorStore for PgStore {
    async fn standing(&self, user: UserId, credential: Uuid) -> Result<FactorStanding, StoreError> {
        self.database
            .system(
                "auth.factor_standing",
                async |tx: &mut SystemTx| -> Result<FactorStanding, StoreError> {
                    let enrolled = second_factors::table
                        .find(user.0)
                        .filter(second_factors::confirmed_at.is_not_null())
                        .count()
                        .single_value();
                    let passed = passed_factors::table
                        .find(credential)
                        .filter(passed_factors::user_id.eq(user.0))
                        .select(passed_factors::passed_by)
                        .single_value();
                    let (enrolled, passed): (Option<i64>, Option<String>) =
                        diesel::select((enrolled, passed))
                            .get_result(tx)
                            .await
                            .map_err(failed)?;
                    let passed = passed
                        .map(|word| PassedBy::parse(&word).ok_or_else(|| corrupt("an unknown factor")))
                        .transpose()?;
                    Ok(FactorStanding {
                        enrolled: enrolled.is_some_and(|count| count > 0),
                        passed,
                    })
                },
            )
            .await
    }

    async fn find_factor(&self, user: UserId) -> Result<Option<Factor>, StoreError> {
        self.database
            .system(
                "auth.find_factor",
                async |tx: &mut SystemTx| -> Result<Option<Factor>, StoreError> {
                    let query = second_factors::table.find(user.0).select(FactorRow::as_select());
                    let row: Option<FactorRow> = query.first(tx).await.optional().map_err(failed)?;
                    Ok(row.map(Into::into))
                },
            )
            .await
    }

    async fn find_seed(&self, factor: &Factor) -> Result<Option<SealedSeed>, StoreError> {
        self.database
            .workspace(
                "auth.find_seed",
                factor.workspace,
                async |tx: &mut WorkspaceTx| -> Result<Option<SealedSeed>, StoreError> {
                    let found: Option<(Vec<u8>, i32)> = factors::table
                        .find((factor.workspace.0, factor.user.0))
                        .select((factors::seed, factors::key_version))
                        .first(tx)
                        .await
                        .optional()
                        .map_err(failed)?;
                    Ok(found.map(|(sealed, key_version)| SealedSeed { sealed, key_version }))
                },
            )
            .await
    }

    async fn count_recovery_codes(&self, user: UserId) -> Result<usize, StoreError> {
        self.database
            .system(
                "auth.count_recovery_codes",
                async |tx: &mut SystemTx| -> Result<usize, StoreError> {
                    let left = recovery_codes::table
                        .filter(recovery_codes::user_id.eq(user.0))
                        .filter(recovery_codes::used_at.is_null());
                    let count: i64 = left.count().get_result(tx).await.map_err(failed)?;
                    Ok(usize::try_from(count).unwrap_or_default())
                },
            )
            .await
    }

    async fn enrol_factor(&self, new: &NewFactor, fact: OutboxEvent) -> Result<bool, StoreError> {
        let fact = &fact;
        self.database
            .workspace(
                "auth.enrol_factor",
                new.factor.workspace,
                async |tx: &mut WorkspaceTx| -> Result<bool, StoreError> {
                    let added = enrol(tx, new).await?;
                    if added {
                        keep(tx, fact).await?;
                    }
                    Ok(added)
                },
            )
            .await
    }

    async fn confirm_factor(
        &self,
        factor: &Factor,
        step: i64,
        credential: Uuid,
        fact: OutboxEvent,
        others: &Closing,
    ) -> Result<bool, StoreError> {
        let (fact, at, life) = (&fact, others.at, self.life);
        self.database
            .system(
                "auth.confirm_factor",
                async |tx: &mut SystemTx| -> Result<bool, StoreError> {
                    let pending = second_factors::table
                        .find(factor.user.0)
                        .filter(second_factors::enrolment.eq(factor.enrolment))
                        .filter(second_factors::confirmed_at.is_null())
                        .filter(second_factors::last_step.lt(step));
                    let changed = diesel::update(pending)
                        .set((
                            second_factors::confirmed_at.eq(at),
                            second_factors::last_step.eq(step),
                        ))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    if changed == 1 {
                        pass(tx, factor.user, credential, PassedBy::Totp, at).await?;
                        forgive(tx, factor.user).await?;
                        keep(tx, fact).await?;
                        end_sessions(tx, factor.user, others.which(), at, life, &others.fact).await?;
                    }
                    Ok(changed == 1)
                },
            )
            .await
    }

    async fn use_step(&self, factor: &Factor, step: i64) -> Result<bool, StoreError> {
        self.database
            .system(
                "auth.use_step",
                async |tx: &mut SystemTx| -> Result<bool, StoreError> {
                    let unused = second_factors::table
                        .find(factor.user.0)
                        .filter(second_factors::enrolment.eq(factor.enrolment))
                        .filter(second_factors::last_step.lt(step));
                    let changed = diesel::update(unused)
                        .set(second_factors::last_step.eq(step))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    if changed == 1 {
                        forgive(tx, factor.user).await?;
                    }
                    Ok(changed == 1)
                },
            )
            .await
    }

    async fn use_recovery_code(
        &self,
        user: UserId,
        hash: &Hash,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let fact = &fact;
        self.database
            .system(
                "auth.use_recovery_code",
                async |tx: &mut SystemTx| -> Result<bool, StoreError> {
                    let unused = recovery_codes::table
                        .find((user.0, hash.as_slice()))
                        .filter(recovery_codes::used_at.is_null());
                    let changed = diesel::update(unused)
                        .set(recovery_codes::used_at.eq(at))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    if changed == 1 {
                        forgive(tx, user).await?;
                        keep(tx, fact).await?;
                    }
                    Ok(changed == 1)
                },
            )
            .await
    }

    async fn replace_recovery_codes(
        &self,
        factor: &Factor,
        hashes: &[Hash],
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let fact = &fact;
        self.database
            .system(
                "auth.replace_recovery_codes",
                async |tx: &mut SystemTx| -> Result<bool, StoreError> {
                    let same: Option<Uuid> = second_factors::table
                        .find(factor.user.0)
                        .filter(second_factors::enrolment.eq(factor.enrolment))
                        .select(second_factors::user_id)
                        .for_update()
                        .first(tx)
                        .await
                        .optional()
                        .map_err(failed)?;
                    if same.is_none() {
                        return Ok(false);
                    }
                    let mine = recovery_codes::table.filter(recovery_codes::user_id.eq(factor.user.0));
                    diesel::delete(mine).execute(tx).await.map_err(failed)?;
                    add_codes(tx, factor.user, hashes).await?;
                    keep(tx, fact).await?;
                    Ok(true)
                },
            )
            .await
    }

    async fn remove_factor(
        &self,
        factor: &Factor,
        fact: OutboxEvent,
        others: Option<&Closing>,
    ) -> Result<bool, StoreError> {
        let (fact, life) = (&fact, self.life);
        self.database
            .workspace(
                "auth.remove_factor",
                factor.workspace,
                async |tx: &mut WorkspaceTx| -> Result<bool, StoreError> {
                    let same = second_factors::table
                        .find(factor.user.0)
                        .filter(second_factors::enrolment.eq(factor.enrolment));
                    let removed = match others {
                        Some(_) => diesel::delete(same).execute(tx).await,
                        None => {
                            let pending = same.filter(second_factors::confirmed_at.is_null());
                            diesel::delete(pending).execute(tx).await
                        }
                    };
                    if removed.map_err(failed)? == 0 {
                        return Ok(false);
                    }
                    let seed = factors::table.find((factor.workspace.0, factor.user.0));
                    diesel::delete(seed).execute(tx).await.map_err(failed)?;
                    let passed = passed_factors::table
                        .filter(passed_factors::user_id.eq(factor.user.0))
                        .filter(passed_factors::passed_by.eq(PassedBy::Totp.as_str()));
                    diesel::delete(passed).execute(tx).await.map_err(failed)?;
                    keep(tx, fact).await?;
                    if let Some(others) = others {
                        let which = others.which();
                        end_sessions(tx, factor.user, which, others.at, life, &others.fact).await?;
                    }
                    Ok(true)
                },
            )
            .await
    }

    async fn pass_factor(
        &self,
        user: UserId,
        credential: Uuid,
        by: PassedBy,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.database
            .system(
                "auth.pass_factor",
                async |tx: &mut SystemTx| -> Result<(), StoreError> {
                    pass(tx, user, credential, by, at).await
                },
            )
            .await
    }

    async fn admit_try(
        &self,
        user: UserId,
        at: DateTime<Utc>,
        locks: OutboxEvent,
    ) -> Result<Admission, StoreError> {
        let locks = &locks;
        self.database
            .system(
                "auth.admit_try",
                async |tx: &mut SystemTx| -> Result<Admission, StoreError> {
                    let row = (
                        factor_tries::user_id.eq(user.0),
                        factor_tries::recent.eq(Vec::<DateTime<Utc>>::new()),
                        factor_tries::locks.eq(0),
                    );
                    diesel::insert_into(factor_tries::table)
                        .values(row)
                        .on_conflict_do_nothing()
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    let mine = factor_tries::table.find(user.0);
                    let row: TriesRow = mine
                        .select(TriesRow::as_select())
                        .for_update()
                        .first(tx)
                        .await
                        .map_err(failed)?;
                    let mut tries = Tries::from(row);
                    let admission = tries.admit(at);
                    diesel::update(mine)
                        .set(&TriesRow::from(tries))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    if matches!(admission, Admission::Locks(_)) {
                        keep(tx, locks).await?;
                    }
                    Ok(admission)
                },
            )
            .await
    }

    async fn keep_fact(&self, fact: OutboxEvent) -> Result<(), StoreError> {
        let fact = &fact;
        self.database
            .system(
                "auth.keep_fact",
                async |tx: &mut SystemTx| -> Result<(), StoreError> { keep(tx, fact).await },
            )
            .await
    }

    async fn raise_seed_fence(&self, workspace: WorkspaceId, version: i32) -> Result<(), StoreError> {
        self.database
            .workspace(
                "auth.raise_seed_fence",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<(), StoreError> {
                    let raised = diesel::insert_into(key_fences::table)
                        .values((
                            key_fences::workspace_id.eq(workspace.0),
                            key_fences::min_write_version.eq(version),
                        ))
                        .on_conflict(key_fences::workspace_id)
                        .do_update()
                        .set(key_fences::min_write_version.eq(excluded(key_fences::min_write_version)));
                    // It waits for the row's lock, which every write of a seed holds to its end.
                    methods::FilterDsl::filter(raised, key_fences::min_write_version.lt(version))
                        .execute(tx)
                        .await
                        .map(|_| ())
                        .map_err(failed)
                },
            )
            .await
    }
}
