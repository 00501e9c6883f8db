//! Inclusion and consistency proofs: RFC 6962 section 2.1.1 and 2.1.2; verification as in RFC 9162 section 2.1.3.2 and 2.1.4.2.

use super::hash::{Hash, empty_root, node_hash};

/// Where proofs are made from: the complete subtrees of a stored tree.
pub trait NodeReader {
    /// What reading may fail with.
    type Error;

    /// The root of the complete subtree over leaves `[index * 2^level, (index + 1) * 2^level)`.
    ///
    /// # Errors
    /// When it cannot be read.
    fn node(&mut self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

/// Why a proof cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ProofBuildError<E> {
    /// The tree has no such leaf, or no such older size.
    #[error("a tree of {size} leaves has no proof for {of}")]
    OutOfRange {
        /// What was asked for.
        of: u64,
        /// The tree's size.
        size: u64,
    },
    /// A node cannot be read.
    #[error("a node cannot be read")]
    Read(E),
}

/// Why a proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Index or sizes that no tree has.
    #[error("the proof is for {of} in a tree of {size}")]
    OutOfRange {
        /// Index of the leaf, or size of the older tree.
        of: u64,
        /// Size of the tree.
        size: u64,
    },
    /// Too many or too few hashes.
    #[error("the proof has the wrong number of hashes")]
    Length,
    /// The hashes lead to another root.
    #[error("the proof leads to root {got}, not to {expected}")]
    Root {
        /// The root that the proof gives.
        got: Hash,
        /// The root it should give.
        expected: Hash,
    },
    /// The hashes lead to another root for the older tree.
    #[error("the proof leads to root {got} for the older tree, not to {expected}")]
    OldRoot {
        /// The root that the proof gives.
        got: Hash,
        /// The root it should give.
        expected: Hash,
    },
}

/// The largest power of two smaller than `n`, as an exponent; `n` must be at least 2.
fn split(n: u64) -> u8 {
    u8::try_from(63 - (n - 1).leading_zeros()).unwrap_or(0)
}

/// The root over leaves `[first, first + n)`, where `first` is a multiple of every complete subtree in it.
fn range_root<R: NodeReader>(reader: &mut R, mut first: u64, mut n: u64) -> Result<Hash, R::Error> {
    let mut roots = Vec::new();
    while n > 0 {
        let level = u8::try_from(63 - n.leading_zeros()).unwrap_or(0);
        roots.push(reader.node(level, first >> level)?);
        first += 1 << level;
        n -= 1 << level;
    }
    Ok(roots.into_iter().rev().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root))
}

/// The root of the first `size` leaves.
///
/// # Errors
/// The reader's.
pub fn root_at<R: NodeReader>(reader: &mut R, size: u64) -> Result<Hash, R::Error> {
    range_root(reader, 0, size)
}

/// The siblings of leaf `index` in a tree of `size` leaves, from the leaf to the root.
///
/// # Errors
/// [`ProofBuildError`].
pub fn inclusion_proof<R: NodeReader>(
    reader: &mut R,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, ProofBuildError<R::Error>> {
    if index >= size {
        return Err(ProofBuildError::OutOfRange { of: index, size });
    }
    let mut proof = Vec::new();
    let (mut first, mut n) = (0, size);
    while n > 1 {
        let left = 1_u64 << split(n);
        if index - first < left {
            proof.push(range_root(reader, first + left, n - left).map_err(ProofBuildError::Read)?);
            n = left;
        } else {
            proof.push(range_root(reader, first, left).map_err(ProofBuildError::Read)?);
            first += left;
            n -= left;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The nodes that show the tree of `size` leaves to be an extension of that of `old` leaves. Empty for `old` 0 or `size`.
///
/// # Errors
/// [`ProofBuildError`].
pub fn consistency_proof<R: NodeReader>(
    reader: &mut R,
    old: u64,
    size: u64,
) -> Result<Vec<Hash>, ProofBuildError<R::Error>> {
    if old > size {
        return Err(ProofBuildError::OutOfRange { of: old, size });
    }
    if old == 0 || old == size {
        return Ok(Vec::new());
    }
    let mut proof = Vec::new();
    let (mut first, mut n, mut m, mut whole) = (0, size, old, true);
    while m != n {
        let left = 1_u64 << split(n);
        if m <= left {
            proof.push(range_root(reader, first + left, n - left).map_err(ProofBuildError::Read)?);
            n = left;
        } else {
            proof.push(range_root(reader, first, left).map_err(ProofBuildError::Read)?);
            (first, n, m, whole) = (first + left, n - left, m - left, false);
        }
    }
    if !whole {
        proof.push(range_root(reader, first, n).map_err(ProofBuildError::Read)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Holds an inclusion proof against a root.
///
/// # Errors
/// [`ProofError`].
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange { of: index, size });
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if hash == *root { Ok(()) } else { Err(ProofError::Root { got: hash, expected: *root }) }
}

/// Holds a consistency proof against the roots of both trees.
///
/// # Errors
/// [`ProofError`].
pub fn verify_consistency(old: u64, size: u64, old_root: &Hash, root: &Hash, proof: &[Hash]) -> Result<(), ProofError> {
    if old > size {
        return Err(ProofError::OutOfRange { of: old, size });
    }
    if old == 0 || old == size {
        let expected = if old == 0 { empty_root() } else { *root };
        return match proof {
            [] if *old_root == expected => Ok(()),
            [] => Err(ProofError::OldRoot { got: expected, expected: *old_root }),
            _ => Err(ProofError::Length),
        };
    }
    let mut hashes = proof.iter();
    let (mut node, mut last) = (old - 1, size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    // A complete older tree is a node of the newer one, and its root is known.
    let start = if node == 0 { *old_root } else { *hashes.next().ok_or(ProofError::Length)? };
    let (mut old_hash, mut hash) = (start, start);
    for sibling in hashes {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if old_hash != *old_root {
        return Err(ProofError::OldRoot { got: old_hash, expected: *old_root });
    }
    if hash == *root { Ok(()) } else { Err(ProofError::Root { got: hash, expected: *root }) }
}

#[cfg(test)]
mod tests {
    use super::super::hash::{leaf_hash, subtree_root};
    use super::*;
    use proptest::prelude::*;

    struct Leaves(Vec<Hash>);

    impl Leaves {
        fn new(n: u64) -> Self {
            Self((0..n).map(|n| leaf_hash(&n.to_be_bytes())).collect())
        }
        fn root(&self, n: u64) -> Hash {
            subtree_root(&self.0[..usize::try_from(n).unwrap()])
        }
    }

    impl NodeReader for Leaves {
        type Error = std::convert::Infallible;
        fn node(&mut self, level: u8, index: u64) -> Result<Hash, Self::Error> {
            let at = |index: u64| usize::try_from(index << level).unwrap();
            Ok(subtree_root(&self.0[at(index)..at(index + 1)]))
        }
    }

    proptest! {
        #[test]
        fn inclusion_proofs_hold_and_break_with_any_change(size in 1_u64..300, at in any::<prop::sample::Index>(), other in any::<u64>()) {
            let mut leaves = Leaves::new(size);
            let index = at.index(usize::try_from(size).unwrap()) as u64;
            let root = leaves.root(size);
            let leaf = leaf_hash(&index.to_be_bytes());
            let proof = inclusion_proof(&mut leaves, index, size).unwrap();
            prop_assert_eq!(verify_inclusion(&leaf, index, size, &proof, &root), Ok(()));
            prop_assert!(verify_inclusion(&leaf_hash(b"x"), index, size, &proof, &root).is_err());
            if other != index {
                prop_assert!(verify_inclusion(&leaf, other, size, &proof, &root).is_err());
            }
            for n in 0..proof.len() {
                let mut broken = proof.clone();
                broken[n] = leaf_hash(b"x");
                prop_assert!(verify_inclusion(&leaf, index, size, &broken, &root).is_err());
                broken.remove(n);
                prop_assert!(verify_inclusion(&leaf, index, size, &broken, &root).is_err());
            }
            let mut longer = proof;
            longer.push(root);
            prop_assert_eq!(verify_inclusion(&leaf, index, size, &longer, &root), Err(ProofError::Length));
        }

        #[test]
        fn consistency_proofs_hold_and_break_with_any_change(size in 1_u64..300, at in any::<prop::sample::Index>()) {
            let mut leaves = Leaves::new(size);
            let old = at.index(usize::try_from(size).unwrap() + 1) as u64;
            let (old_root, root) = (leaves.root(old), leaves.root(size));
            let proof = consistency_proof(&mut leaves, old, size).unwrap();
            prop_assert_eq!(verify_consistency(old, size, &old_root, &root, &proof), Ok(()));
            prop_assert!(verify_consistency(old, size, &leaf_hash(b"x"), &root, &proof).is_err());
            for n in 0..proof.len() {
                let mut broken = proof.clone();
                broken[n] = leaf_hash(b"x");
                prop_assert!(verify_consistency(old, size, &old_root, &root, &broken).is_err());
            }
            let mut longer = proof;
            longer.push(root);
            prop_assert_eq!(verify_consistency(old, size, &old_root, &root, &longer), Err(ProofError::Length));
        }
    }
}
