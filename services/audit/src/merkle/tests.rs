use proptest::prelude::*;

use super::*;

/// RFC 6962 §2.1, word by word: slow, and the oracle of everything here.
fn mth(leaves: &[Vec<u8>]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => leaf_hash(leaf),
        many => {
            let (left, right) = many.split_at(naive_split(many.len()));
            node_hash(mth(left), mth(right))
        }
    }
}

fn naive_split(size: usize) -> usize {
    let mut split = 1;
    while split * 2 < size {
        split *= 2;
    }
    split
}

/// RFC 6962 §2.1.1.
fn path(index: usize, leaves: &[Vec<u8>]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let middle = naive_split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    let (mut proof, sibling) = if index < middle {
        (path(index, left), mth(right))
    } else {
        (path(index - middle, right), mth(left))
    };
    proof.push(sibling);
    proof
}

/// RFC 6962 §2.1.2.
fn subproof(from: usize, leaves: &[Vec<u8>], whole: bool) -> Vec<Hash> {
    if from == leaves.len() {
        return if whole { Vec::new() } else { vec![mth(leaves)] };
    }
    let middle = naive_split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    let (mut proof, sibling) = if from <= middle {
        (subproof(from, left, whole), mth(right))
    } else {
        (subproof(from - middle, right, false), mth(left))
    };
    proof.push(sibling);
    proof
}

/// A tree that keeps every node, as a store does.
#[derive(Default)]
struct Kept {
    edge: Edge,
    levels: Vec<Vec<Hash>>,
}

impl Kept {
    fn of(leaves: &[Vec<u8>]) -> Self {
        let mut kept = Self::default();
        leaves.iter().for_each(|leaf| kept.append(leaf));
        kept
    }

    fn append(&mut self, leaf: &[u8]) {
        let levels = &mut self.levels;
        self.edge.append(leaf_hash(leaf), |node, hash| {
            let level = node.level as usize;
            if level == levels.len() {
                levels.push(Vec::new());
            }
            assert_eq!(levels[level].len() as u64, node.index, "nodes complete in order");
            levels[level].push(hash);
        });
    }

    fn fold(&self, plan: &Plan) -> Vec<Hash> {
        let hashes: Vec<Hash> = plan
            .nodes()
            .map(|node| self.levels[node.level as usize][node.index as usize])
            .collect();
        plan.fold(&hashes).unwrap()
    }
}

fn numbered(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|index| index.to_be_bytes().to_vec()).collect()
}

fn hash(hex: &str) -> Hash {
    Hash::from_hex(hex).unwrap()
}

/// The inputs of the Certificate Transparency reference tests.
fn reference_leaves() -> Vec<Vec<u8>> {
    [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    .iter()
    .map(|text| hex::decode(text).unwrap())
    .collect()
}

const REFERENCE_ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

#[test]
fn roots_are_those_of_the_reference_tests() {
    let leaves = reference_leaves();
    let mut edge = Edge::default();
    assert_eq!(edge.root(), hash(REFERENCE_ROOTS[0]));
    for (leaf, root) in leaves.iter().zip(&REFERENCE_ROOTS[1..]) {
        edge.append(leaf_hash(leaf), |_, _| {});
        assert_eq!(edge.root(), hash(root));
    }
}

#[test]
fn inclusion_proofs_are_those_of_the_reference_tests() {
    let kept = Kept::of(&reference_leaves());
    let cases: [(u64, u64, &[&str]); 4] = [
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            3,
            &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
        ),
        (
            1,
            5,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    for (index, size, expected) in cases {
        let expected: Vec<Hash> = expected.iter().map(|text| hash(text)).collect();
        assert_eq!(kept.fold(&Plan::inclusion(index, size).unwrap()), expected);
    }
}

#[test]
fn consistency_proofs_are_those_of_the_reference_tests() {
    let kept = Kept::of(&reference_leaves());
    let cases: [(u64, u64, &[&str]); 4] = [
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
        (
            6,
            7,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
    ];
    for (from, to, expected) in cases {
        let expected: Vec<Hash> = expected.iter().map(|text| hash(text)).collect();
        assert_eq!(kept.fold(&Plan::consistency(from, to).unwrap()), expected);
    }
}

#[test]
fn every_root_to_size_130_is_that_of_the_rfc() {
    let leaves = numbered(130);
    let mut kept = Kept::default();
    for size in 0..=130_u64 {
        let root = mth(&leaves[..size as usize]);
        assert_eq!(kept.edge.root(), root);
        assert_eq!(kept.fold(&Plan::root(size)), [root]);
        if let Some(leaf) = leaves.get(size as usize) {
            kept.append(leaf);
        }
    }
}

#[test]
fn every_inclusion_proof_to_size_130_is_that_of_the_rfc_and_verifies() {
    let leaves = numbered(130);
    let kept = Kept::of(&leaves);
    for size in 1..=130_u64 {
        let of_size = &leaves[..size as usize];
        let root = mth(of_size);
        for index in 0..size {
            let proof = kept.fold(&Plan::inclusion(index, size).unwrap());
            assert_eq!(proof, path(index as usize, of_size), "leaf {index} of {size}");
            let leaf = leaf_hash(&leaves[index as usize]);
            assert!(
                verify_inclusion(index, size, leaf, &proof, root),
                "leaf {index} of {size}"
            );
        }
        assert_eq!(Plan::inclusion(size, size), Err(NoProof));
    }
}

#[test]
fn every_consistency_proof_to_size_130_is_that_of_the_rfc_and_verifies() {
    let leaves = numbered(130);
    let kept = Kept::of(&leaves);
    for to in 0..=130_u64 {
        let to_root = mth(&leaves[..to as usize]);
        for from in 0..=to {
            let proof = kept.fold(&Plan::consistency(from, to).unwrap());
            if from > 0 {
                assert_eq!(
                    proof,
                    subproof(from as usize, &leaves[..to as usize], true),
                    "{from} to {to}"
                );
            }
            let from_root = mth(&leaves[..from as usize]);
            assert!(
                verify_consistency(from, to, from_root, to_root, &proof),
                "{from} to {to}"
            );
        }
        assert_eq!(Plan::consistency(to + 1, to), Err(NoProof));
    }
}

/// Every way of the reference tests to spoil a list of hashes.
fn spoilt(proof: &[Hash], garbage: Hash) -> Vec<Vec<Hash>> {
    let mut all = vec![[proof, &[garbage]].concat(), [&[garbage], proof].concat()];
    for position in 0..proof.len() {
        let mut flipped = proof.to_vec();
        flipped[position].0[0] ^= 8;
        let mut shorter = proof.to_vec();
        shorter.remove(position);
        all.extend([flipped, shorter]);
    }
    all
}

proptest! {
    #[test]
    fn a_spoilt_inclusion_proof_is_refused(size in 1_u64..600, pick in any::<u64>()) {
        let kept = Kept::of(&numbered(size));
        let (index, root) = (pick % size, kept.edge.root());
        let proof = kept.fold(&Plan::inclusion(index, size).unwrap());
        let leaf = kept.levels[0][index as usize];
        prop_assert!(verify_inclusion(index, size, leaf, &proof, root));
        for wrong in spoilt(&proof, root) {
            prop_assert!(!verify_inclusion(index, size, leaf, &wrong, root));
        }
        prop_assert!(!verify_inclusion(index ^ 1, size, leaf, &proof, root) || size == 1);
        prop_assert!(!verify_inclusion(index + 1, size, leaf, &proof, root));
        prop_assert!(!verify_inclusion(index, size, leaf_hash(b"other"), &proof, root));
        prop_assert!(!verify_inclusion(index, size, leaf, &proof, empty_root()));
    }

    #[test]
    fn a_spoilt_consistency_proof_is_refused(to in 2_u64..600, pick in any::<u64>()) {
        let leaves = numbered(to);
        let from = 1 + pick % (to - 1);
        let (old, new) = (Kept::of(&leaves[..from as usize]), Kept::of(&leaves));
        let (from_root, to_root) = (old.edge.root(), new.edge.root());
        let proof = new.fold(&Plan::consistency(from, to).unwrap());
        prop_assert!(verify_consistency(from, to, from_root, to_root, &proof));
        for wrong in spoilt(&proof, to_root) {
            prop_assert!(!verify_consistency(from, to, from_root, to_root, &wrong));
        }
        prop_assert!(!verify_consistency(from, to, to_root, from_root, &proof));
        prop_assert!(!verify_consistency(from, to, empty_root(), to_root, &proof));
        prop_assert!(!verify_consistency(to, from, from_root, to_root, &proof));
    }

    #[test]
    fn a_forked_log_has_no_consistency_proof(to in 2_u64..200, pick in any::<u64>()) {
        let mut leaves = numbered(to);
        let from = 1 + pick % (to - 1);
        let from_root = Kept::of(&leaves[..from as usize]).edge.root();
        leaves[(pick % from) as usize] = b"rewritten".to_vec();
        let forked = Kept::of(&leaves);
        let proof = forked.fold(&Plan::consistency(from, to).unwrap());
        prop_assert!(!verify_consistency(from, to, from_root, forked.edge.root(), &proof));
    }
}
