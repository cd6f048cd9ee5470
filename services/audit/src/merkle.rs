//! The Merkle tree of RFC 6962 §2.1: hashes, the growing right edge, proofs and their verification. No IO.
//!
//! A store keeps the hash of every complete subtree (a [`Node`]). A proof at any size is first planned as a list of
//! nodes, then folded from their hashes, so that it costs O(log n) reads whatever the store is.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

#[cfg(test)]
mod tests;

/// A SHA-256 hash of a leaf, a node or a whole tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The hash of that lower-case or upper-case hex text.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    Hash(hash)
}

/// The hash of an empty tree.
pub fn empty_root() -> Hash {
    sha256(&[])
}

/// The hash of a leaf: SHA-256(0x00 || leaf).
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    sha256(&[&[0], leaf])
}

/// The hash of an inner node: SHA-256(0x01 || left || right).
pub fn node_hash(left: Hash, right: Hash) -> Hash {
    sha256(&[&[1], &left.0, &right.0])
}

/// A complete subtree: the leaves `index << level` to `(index + 1) << level`, the second not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node {
    /// 0 for a leaf.
    pub level: u32,
    /// From the left, within the level.
    pub index: u64,
}

/// The right edge of a growing tree: at most 64 hashes, enough to append and to know the root in O(log n).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// The roots of the complete subtrees that the size decomposes into, largest first.
    hashes: Vec<Hash>,
}

impl Edge {
    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash and tells `completed` every subtree that it completes, the leaf first.
    pub fn append(&mut self, leaf: Hash, mut completed: impl FnMut(Node, Hash)) {
        let (mut node, mut hash) = (
            Node {
                level: 0,
                index: self.size,
            },
            leaf,
        );
        completed(node, hash);
        while node.index & 1 == 1
            && let Some(left) = self.hashes.pop()
        {
            node = Node {
                level: node.level + 1,
                index: node.index >> 1,
            };
            hash = node_hash(left, hash);
            completed(node, hash);
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// The Merkle tree hash.
    pub fn root(&self) -> Hash {
        fold(&self.hashes).unwrap_or_else(empty_root)
    }
}

/// The hash over complete subtrees that stand side by side, largest first.
fn fold(hashes: &[Hash]) -> Option<Hash> {
    let (last, before) = hashes.split_last()?;
    Some(
        before
            .iter()
            .rev()
            .fold(*last, |right, left| node_hash(*left, right)),
    )
}

/// Sizes for which there is no such proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such proof")]
pub struct NoProof;

/// Which nodes the hashes of a proof are made of: one inner list per hash of the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan(Vec<Vec<Node>>);

impl Plan {
    /// Of what the root of the tree of the first `size` leaves is made.
    pub fn root(size: u64) -> Self {
        Self(vec![nodes(0, size)])
    }

    /// The proof that leaf `index` is in the tree of the first `size` leaves (RFC 6962 §2.1.1).
    ///
    /// # Errors
    /// [`NoProof`] when the leaf is not in that tree.
    pub fn inclusion(index: u64, size: u64) -> Result<Self, NoProof> {
        if index >= size {
            return Err(NoProof);
        }
        let (mut start, mut end, mut parts) = (0, size, Vec::new());
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                parts.push(nodes(middle, end));
                end = middle;
            } else {
                parts.push(nodes(start, middle));
                start = middle;
            }
        }
        parts.reverse();
        Ok(Self(parts))
    }

    /// The proof that the tree of the first `from` leaves is the beginning of that of the first `to` (RFC 6962
    /// §2.1.2); nothing to prove when `from` is 0.
    ///
    /// # Errors
    /// [`NoProof`] when `from` is larger than `to`.
    pub fn consistency(from: u64, to: u64) -> Result<Self, NoProof> {
        if from > to {
            return Err(NoProof);
        }
        if from == 0 {
            return Ok(Self(Vec::new()));
        }
        let (mut start, mut end, mut parts) = (0, to, Vec::new());
        while from != end {
            let middle = start + split(end - start);
            if from <= middle {
                parts.push(nodes(middle, end));
                end = middle;
            } else {
                parts.push(nodes(start, middle));
                start = middle;
            }
        }
        // The verifier knows the old root, so it is left out where it is a subtree of the new tree.
        if start != 0 {
            parts.push(nodes(start, end));
        }
        parts.reverse();
        Ok(Self(parts))
    }

    /// The nodes to read, in the order in which [`Plan::fold`] takes their hashes.
    pub fn nodes(&self) -> impl Iterator<Item = Node> {
        self.0.iter().flatten().copied()
    }

    /// The hashes of the proof from those of its nodes; nothing if there are too few.
    pub fn fold(&self, mut hashes: &[Hash]) -> Option<Vec<Hash>> {
        let mut proof = Vec::with_capacity(self.0.len());
        for part in &self.0 {
            let (of_part, rest) = hashes.split_at_checked(part.len())?;
            proof.push(fold(of_part).unwrap_or_else(empty_root));
            hashes = rest;
        }
        Some(proof)
    }
}

/// The largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The complete subtrees that cover the leaves from `start` to `end`, largest first. `start` is a multiple of the
/// largest power of two that fits between them, as RFC 6962 cuts its ranges.
fn nodes(mut start: u64, end: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    while start < end {
        let level = (end - start).ilog2();
        nodes.push(Node {
            level,
            index: start >> level,
        });
        start += 1 << level;
    }
    nodes
}

/// Whether `proof` shows that the leaf with that hash is number `index` of the tree of `size` leaves with that root
/// (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(index: u64, size: u64, leaf: Hash, proof: &[Hash], root: Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut from, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if from & 1 == 1 || from == last {
            hash = node_hash(*sibling, hash);
            while from & 1 == 0 && from != 0 {
                from >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(hash, *sibling);
        }
        from >>= 1;
        last >>= 1;
    }
    last == 0 && hash == root
}

/// Whether `proof` shows that the tree of `from` leaves is the beginning of the tree of `to` leaves (RFC 9162
/// §2.1.4.2).
pub fn verify_consistency(from: u64, to: u64, from_root: Hash, to_root: Hash, proof: &[Hash]) -> bool {
    if from > to || (from == to && from_root != to_root) || (from == 0 && from_root != empty_root()) {
        return false;
    }
    if from == 0 || from == to {
        return proof.is_empty();
    }
    // A whole power of two is a subtree of the new tree; its root is the first hash.
    let (first, rest) = match proof.split_first() {
        _ if from.is_power_of_two() => (&from_root, proof),
        Some(parts) => parts,
        None => return false,
    };
    let shift = (from - 1).trailing_ones();
    let (mut old, mut last) = ((from - 1) >> shift, (to - 1) >> shift);
    let (mut old_hash, mut new_hash) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return false;
        }
        if old & 1 == 1 || old == last {
            old_hash = node_hash(*hash, old_hash);
            new_hash = node_hash(*hash, new_hash);
            while old & 1 == 0 && old != 0 {
                old >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(new_hash, *hash);
        }
        old >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == from_root && new_hash == to_root
}
