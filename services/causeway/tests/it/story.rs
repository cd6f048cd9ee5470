//! The story, in the forms in which the system runs.

use causeway::demo::tell;
use causeway_testkit::TestDb;
use secrecy::ExposeSecret as _;

use crate::mesh::Mesh;

#[tokio::test(flavor = "multi_thread")]
async fn the_story_passes_in_one_process() {
    let mesh = Mesh::start().await;
    let mut told = Vec::new();
    let summary = tell(&mesh.base, &mut told).await.unwrap();
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains("curl -s") && told.contains(&summary.root), "{told}");
    assert!(!told.contains(&summary.token), "the story shows no credential");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_passes_with_postgresql() {
    let Some(database) = TestDb::new(&causeway::serve::database::schemas()).await else {
        return;
    };
    let mesh = Mesh::with(&[
        ("DATABASE_URL", database.service_url().expose_secret()),
        ("DATABASE_OWNER_URL", database.owner_url().expose_secret()),
    ])
    .await;
    tell(&mesh.base, &mut Vec::new()).await.unwrap();
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_stories_at_once_do_not_meet() {
    let mesh = Mesh::start().await;
    let stories = (0..8).map(|_| {
        let base = mesh.base.clone();
        async move { tell(&base, &mut Vec::new()).await }
    });
    for story in futures::future::join_all(stories).await {
        story.unwrap();
    }
    mesh.end().await;
}
