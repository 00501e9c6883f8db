//! Tells of most keys that are not in the file without a look at it.
//!
//! Nearly every event is new: its key is looked for in vain, at a random place of the file. A blocked Bloom filter (Putze,
//! Sanders, Singler 2007) answers that from one cache line, and is wrong about one in a hundred keys that are not there;
//! those are looked for all the same. It is never wrong about a key that is there.

use super::DedupKey;

/// Words of a block: one cache line.
const WORDS: usize = 8;

/// Bits set for a key: what is left of its second half is cut into so many places within a block.
const PLACES: u32 = 7;

/// Keys for which a block is made: 12 bits for each.
const KEYS_PER_BLOCK: usize = WORDS * 64 / 12;

/// Keys that the first layer has room for.
const FIRST_KEYS: usize = 1 << 16;

/// The keys that are in the file. They are hashes, so their own bits say where they belong.
pub(super) struct Filter {
    /// Each with room for twice as many keys as the one before it; the last one is being filled.
    layers: Vec<Layer>,
}

struct Layer {
    blocks: Vec<[u64; WORDS]>,
    room: usize,
}

impl Layer {
    fn new(keys: usize) -> Self {
        Self { blocks: vec![[0; WORDS]; keys.div_ceil(KEYS_PER_BLOCK).max(1)], room: keys }
    }

    /// The block of a key, and the bits of it that are the key's.
    fn place(&self, key: DedupKey) -> (usize, [u64; WORDS]) {
        let number = u128::from_le_bytes(key);
        let (mut places, which) = (number >> 64, number & u128::from(u64::MAX));
        let block = (which * self.blocks.len() as u128) >> 64;
        let mut bits = [0; WORDS];
        for _ in 0..PLACES {
            let word = usize::try_from(places >> 6 & 7).ok().and_then(|word| bits.get_mut(word));
            if let Some(word) = word {
                *word |= 1 << (places & 63);
            }
            places >>= 9;
        }
        (usize::try_from(block).unwrap_or(0), bits)
    }
}

impl Filter {
    /// A filter without keys, with room for about `keys`.
    pub(super) fn new(keys: usize) -> Self {
        Self { layers: vec![Layer::new(keys.max(FIRST_KEYS))] }
    }

    /// Takes in a key.
    pub(super) fn insert(&mut self, key: DedupKey) {
        if let Some(full) = self.layers.last().filter(|layer| layer.room == 0) {
            let next = Layer::new(full.blocks.len() * KEYS_PER_BLOCK * 2);
            self.layers.push(next);
        }
        let Some(layer) = self.layers.last_mut() else { return };
        let (block, bits) = layer.place(key);
        layer.room -= 1;
        if let Some(block) = layer.blocks.get_mut(block) {
            block.iter_mut().zip(bits).for_each(|(word, bits)| *word |= bits);
        }
    }

    /// False only for a key that was never taken in.
    pub(super) fn may_have(&self, key: DedupKey) -> bool {
        self.layers.iter().any(|layer| {
            let (block, bits) = layer.place(key);
            layer.blocks.get(block).is_none_or(|block| block.iter().zip(bits).all(|(word, bits)| word & bits == bits))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> DedupKey {
        *blake3::hash(&n.to_le_bytes()).as_bytes().first_chunk().unwrap()
    }

    #[test]
    fn a_key_that_was_taken_in_is_never_denied_and_few_others_are_admitted() {
        let mut filter = Filter::new(0);
        // More than one layer holds.
        let n = 3 * FIRST_KEYS as u64;
        (0..n).for_each(|n| filter.insert(key(n)));
        assert_eq!(filter.layers.len(), 2);
        assert!((0..n).all(|n| filter.may_have(key(n))));
        let wrong = (n..2 * n).filter(|n| filter.may_have(key(*n))).count() as u64;
        assert!(wrong * 40 < n, "{wrong} of {n}");
    }
}
