use std::collections::BTreeSet;

use causeway_database::Schema;
use causeway_testkit::TestDb;
use chrono::TimeDelta;
use diesel_migrations::embed_migrations;

use super::*;

static SCHEMA: Schema = Schema {
    name: "ends",
    migrations: embed_migrations!("tests/migrations"),
    unscoped: &["revocations"],
};
const LIFE: TimeDelta = TimeDelta::minutes(15);

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
}

async fn fresh() -> Option<(PgRevocations, TestDb)> {
    let db = TestDb::new(&[&SCHEMA]).await?;
    Some((PgRevocations::new(db.service().await, SCHEMA.name), db))
}

async fn add(store: &PgRevocations, revocations: &[Revocation]) {
    store
        .database
        .system("test", async |tx: &mut SystemTx| -> Result<(), DatabaseError> {
            Ok(insert_revocations(tx, SCHEMA.name, revocations).await?)
        })
        .await
        .expect("added");
}

/// Asks until nothing is told any more: transactions of the whole server hold a place back, those of other tests too.
async fn quiet(store: &PgRevocations, mut place: String) {
    let asked = async {
        loop {
            let page = store.after(&place, at(6)).await.expect("answered");
            if page.revocations.is_empty() {
                return;
            }
            place = page.resume;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), asked)
        .await
        .expect("told for ever");
}

fn session(seconds: i64) -> Revocation {
    Revocation::of(Ended::Session(SessionId::generate()), at(seconds), LIFE)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_told_as_it_was_written() {
    let Some((store, _db)) = fresh().await else { return };
    let (user, workspace) = (UserId::generate(), WorkspaceId::generate());
    let written = [
        session(0),
        Revocation::before(Ended::User(user), at(1), LIFE),
        Revocation::before(Ended::Member(workspace, user), at(2), LIFE),
        Revocation::of(Ended::Client(Uuid::now_v7()), at(3), LIFE),
        Revocation::of(Ended::Token(TokenId::generate()), at(4), LIFE),
        Revocation::of(Ended::Workspace(workspace), at(5), LIFE),
    ];
    add(&store, &written).await;
    let page = store.after("", at(6)).await.expect("answered");
    assert_eq!(
        (page.revocations.as_slice(), page.next),
        (written.as_slice(), None)
    );
    quiet(&store, page.resume).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_commits_late_is_told_though_later_ones_were_told_before() {
    let Some((store, db)) = fresh().await else { return };
    let (early, late) = (session(0), session(1));
    let (written, is_written) = tokio::sync::oneshot::channel::<()>();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let slow = {
        let database = db.service().await;
        let channels = std::sync::Arc::new(tokio::sync::Mutex::new(Some((written, ended))));
        async move {
            let body = async |tx: &mut SystemTx| -> Result<(), DatabaseError> {
                insert_revocations(tx, SCHEMA.name, &[early]).await?;
                let (written, ended) = channels.lock().await.take().expect("it runs once");
                written.send(()).expect("awaited");
                ended.await.expect("told");
                Ok(())
            };
            database.system("slow", body).await.expect("committed");
        }
    };
    let mut slow = Box::pin(slow);
    tokio::select! {
        () = &mut slow => panic!("it waits"),
        told = is_written => told.expect("written"),
    }
    // The first transaction has its number and its row's; the second one commits before it.
    add(&store, &[late]).await;
    let first = store.after("", at(2)).await.expect("answered");
    assert_eq!(first.revocations, [late]);
    end.send(()).expect("it waits");
    slow.await;
    let second = store.after(&first.resume, at(2)).await.expect("answered");
    let told: BTreeSet<Ended> = second.revocations.iter().map(|row| row.ended).collect();
    assert!(told.contains(&early.ended), "the late one is not missed");
    quiet(&store, second.resume).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_comes_in_pages() {
    let Some((store, _db)) = fresh().await else { return };
    let written: Vec<Revocation> = (0..25).map(session).collect();
    for some in written.chunks(7) {
        add(&store, some).await;
    }
    let (mut told, mut place) = (Vec::new(), String::new());
    let pages = loop {
        let page = store.page(&place, at(30), 10).await.expect("answered");
        told.extend(page.revocations);
        match page.next {
            Some(next) => place = next,
            None => break told.len(),
        }
    };
    assert_eq!((pages, told), (25, written));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_of_another_server_is_the_beginning() {
    let Some((store, _db)) = fresh().await else { return };
    let one = session(0);
    add(&store, &[one]).await;
    for place in ["18446744073709551615.0", "nonsense", "1.2.3", "-1.0"] {
        let page = store.after(place, at(1)).await.expect("answered");
        assert_eq!(page.revocations, [one], "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_is_neither_told_nor_kept() {
    let Some((store, _db)) = fresh().await else { return };
    let (old, new) = (session(0), session(100));
    add(&store, &[old, new]).await;
    let end = old.expires_at;
    let page = store.after("", end).await.expect("answered");
    assert_eq!(page.revocations, [new]);
    assert_eq!(store.sweep(end).await.expect("swept"), 1);
    assert_eq!(store.sweep(end).await.expect("swept"), 0);
}
