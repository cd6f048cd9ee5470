//! The Merkle tree hash straight from its definition (RFC 6962 §2.1), on purpose not the code of the audit service.

use aws_lc_rs::digest::{SHA256, digest};

/// The root over `leaves`.
pub(super) fn root(leaves: &[Vec<u8>]) -> Vec<u8> {
    match leaves {
        [] => sha256(&[]),
        [leaf] => sha256(&[&[0], leaf.as_slice()]),
        _ => {
            // The largest power of two that is smaller than the number of leaves.
            let split = 1 << (usize::BITS - 1 - (leaves.len() - 1).leading_zeros());
            let (left, right) = leaves.split_at(split);
            sha256(&[&[1], root(left).as_slice(), root(right).as_slice()])
        }
    }
}

fn sha256(parts: &[&[u8]]) -> Vec<u8> {
    digest(&SHA256, &parts.concat()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_trees_are_as_the_rfc_draws_them() {
        let leaf = |text: &str| sha256(&[&[0], text.as_bytes()]);
        let leaves: Vec<Vec<u8>> = ["a", "b", "c"].map(|text| text.as_bytes().to_vec()).to_vec();
        let left = sha256(&[&[1], leaf("a").as_slice(), leaf("b").as_slice()]);
        assert_eq!(
            root(&leaves),
            sha256(&[&[1], left.as_slice(), leaf("c").as_slice()])
        );
    }
}
