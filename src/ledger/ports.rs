//! What the ledger needs from the world: time and chance. Tests and simulations bring their own.

use crate::event::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;
}

/// Gives unpredictable bytes: salts of sealed values and the random part of event ids.
pub trait Entropy: Send + Sync {
    /// Fills `buffer`.
    fn fill(&self, buffer: &mut [u8]);
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the port's real side")]
    fn now(&self) -> Timestamp {
        Timestamp::from_micros_clamped(chrono::Utc::now().timestamp_micros())
    }
}

/// Bytes asked of the operating system at once: a call for each salt and id would cost as much as hashing the event.
const POOL: usize = 4096;

thread_local! {
    /// Random bytes, and how many of them have been given out. Those are zeroed.
    static RANDOM: std::cell::RefCell<([u8; POOL], usize)> = const { std::cell::RefCell::new(([0; POOL], POOL)) };
}

/// The operating system's generator. No byte is given out twice, nor kept once it is given out.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        RANDOM.with_borrow_mut(|(pool, used)| {
            if pool.len() - *used < buffer.len() {
                fill_from_system(pool);
                *used = 0;
            }
            match pool.get_mut(*used..*used + buffer.len()) {
                Some(fresh) => {
                    buffer.copy_from_slice(fresh);
                    fresh.fill(0);
                    *used += buffer.len();
                }
                None => fill_from_system(buffer),
            }
        });
    }
}

#[expect(clippy::panic, reason = "without entropy no salt would keep a secret; nothing can go on")]
fn fill_from_system(buffer: &mut [u8]) {
    if let Err(error) = getrandom::fill(buffer) {
        panic!("the operating system gives no random bytes: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_random_byte_is_given_out_twice() {
        let mut seen = std::collections::HashSet::new();
        for size in [16, 42, 4, 32].into_iter().cycle().take(2_000).chain([5_000, 4_096, 4_095, 2, 32]) {
            let mut bytes = vec![0; size];
            SystemEntropy.fill(&mut bytes);
            if size >= 16 {
                assert!(seen.insert(bytes[..16].to_vec()) && bytes.iter().any(|byte| *byte != 0));
            }
        }
    }
}
