use super::*;

#[tokio::test]
async fn the_root_is_that_of_the_leaves_that_a_reader_sees() {
    let (rpc, ada) = (rpc(), person());
    assert_eq!(
        root(&rpc, &ada).await.root_hash,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    numbered(&rpc, &ada, 11).await;
    let head = root(&rpc, &ada).await;
    let mut edge = Edge::default();
    for entry in list(&rpc, &ada, wire::ListEventsRequest::default()).await.entries {
        assert_eq!(entry.leaf_hash, leaf_hash(entry.leaf.as_bytes()).to_string());
        edge.append(leaf_hash(entry.leaf.as_bytes()), |_, _| {});
    }
    assert_eq!((head.size, head.root_hash), (11, edge.root().to_string()));
}

#[tokio::test]
async fn proofs_verify_against_the_roots_that_were_told() {
    let (rpc, ada) = (rpc(), person());
    numbered(&rpc, &ada, 6).await;
    let old = root(&rpc, &ada).await;
    numbered(&rpc, &ada, 7).await;
    let new = root(&rpc, &ada).await;
    let ask = wire::GetInclusionProofRequest { seq: 4, size: 0 };
    let inclusion = rpc
        .get_inclusion_proof(ada.ask("GetInclusionProof", ask))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((inclusion.size, &inclusion.root_hash), (13, &new.root_hash));
    let hex = |text: &String| Hash::from_hex(text).unwrap();
    let path: Vec<Hash> = inclusion.hashes.iter().map(hex).collect();
    assert!(verify_inclusion(
        4,
        13,
        hex(&inclusion.leaf_hash),
        &path,
        hex(&new.root_hash)
    ));
    let ask = wire::GetConsistencyProofRequest {
        from: old.size,
        to: 0,
    };
    let consistency = rpc
        .get_consistency_proof(ada.ask("GetConsistencyProof", ask))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (&consistency.from_root_hash, &consistency.to_root_hash),
        (&old.root_hash, &new.root_hash)
    );
    let path: Vec<Hash> = consistency.hashes.iter().map(hex).collect();
    assert!(verify_consistency(
        6,
        13,
        hex(&old.root_hash),
        hex(&new.root_hash),
        &path
    ));
}

#[tokio::test]
async fn a_proof_that_cannot_be_names_the_field() {
    let (rpc, ada) = (rpc(), person());
    numbered(&rpc, &ada, 3).await;
    for (seq, size, field) in [
        (3, 0, "seq"),
        (2, 2, "seq"),
        (0, 4, "size"),
        (-1, 0, "seq"),
        (0, -1, "size"),
    ] {
        let ask = ada.ask("GetInclusionProof", wire::GetInclusionProofRequest { seq, size });
        assert_eq!(
            fields(&ApiError::from(rpc.get_inclusion_proof(ask).await.unwrap_err())),
            [field]
        );
    }
    for (from, to, field) in [(3, 2, "from"), (1, 4, "to"), (-1, 0, "from"), (0, -1, "to")] {
        let ask = ada.ask(
            "GetConsistencyProof",
            wire::GetConsistencyProofRequest { from, to },
        );
        assert_eq!(
            fields(&ApiError::from(rpc.get_consistency_proof(ask).await.unwrap_err())),
            [field]
        );
    }
}

#[tokio::test]
async fn verification_tells_the_size_and_the_root() {
    let (rpc, ada) = (rpc(), person());
    numbered(&rpc, &ada, 9).await;
    let head = root(&rpc, &ada).await;
    let report = rpc
        .verify_log(ada.ask("VerifyLog", wire::VerifyLogRequest {}))
        .await
        .unwrap()
        .into_inner();
    let expected = wire::VerifyLogResponse {
        valid: true,
        size: 9,
        root_hash: head.root_hash,
        findings: Vec::new(),
    };
    assert_eq!(report, expected);
}
