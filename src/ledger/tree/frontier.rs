//! The right edge of a growing tree: all that is needed to append to it and to know its root.

use super::hash::{Hash, empty_root, node_hash};

/// The roots of the complete subtrees that make up a tree, largest first: one for each bit set in its size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

/// The number of roots does not fit the size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tree of {size} leaves has {wanted} complete subtrees, not {given}")]
pub struct FrontierError {
    size: u64,
    wanted: u32,
    given: usize,
}

impl Frontier {
    /// The tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree of `size` leaves by the roots of its complete subtrees, largest first.
    ///
    /// # Errors
    /// Refused when there are not as many as the size has bits set.
    pub fn from_parts(size: u64, roots: Vec<Hash>) -> Result<Self, FrontierError> {
        if roots.len() == size.count_ones() as usize {
            Ok(Self { size, roots })
        } else {
            Err(FrontierError { size, wanted: size.count_ones(), given: roots.len() })
        }
    }

    /// How many leaves the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of its complete subtrees, largest first.
    #[must_use]
    pub fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// Appends a leaf, given by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut root = leaf;
        // A subtree of the same height to the left makes one of the next height with it.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                root = node_hash(&left, &root);
            }
        }
        self.roots.push(root);
        self.size += 1;
    }

    /// The root of the whole tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.roots.iter().rev().copied().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash::{leaf_hash, subtree_root};
    use super::*;

    #[test]
    fn root_equals_the_recursive_definition_at_every_size() {
        let mut frontier = Frontier::new();
        let mut leaves = Vec::new();
        assert_eq!(frontier.root(), empty_root());
        for n in 0_u32..600 {
            let leaf = leaf_hash(&n.to_be_bytes());
            leaves.push(leaf);
            frontier.push(leaf);
            assert_eq!(frontier.root(), subtree_root(&leaves));
            let again = Frontier::from_parts(frontier.size(), frontier.roots().to_vec()).unwrap();
            assert_eq!(again, frontier);
        }
        assert!(Frontier::from_parts(3, leaves[..1].to_vec()).is_err());
    }
}
