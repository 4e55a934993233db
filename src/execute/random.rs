//! Seeded randomness for operation names and jitter. Names only have to differ; nothing secret hangs on them, so that a
//! simulation replays a run by its seed.

use std::sync::{Mutex, PoisonError};

/// SplitMix64.
#[derive(Debug)]
pub(super) struct Random {
    state: Mutex<u64>,
}

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: Mutex::new(seed) }
    }

    pub(super) fn next(&self) -> u64 {
        // A panic while holding this lock leaves a plain number behind, which is as good as any.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `digits` hexadecimal digits, at most 16.
    pub(super) fn hex(&self, digits: usize) -> String {
        let mut text = format!("{:016x}", self.next());
        text.truncate(digits);
        text
    }

    /// Between 0.75 and 1.25: spreads retries of many steps that failed together.
    pub(super) fn jitter(&self) -> f64 {
        0.75 + (self.next() >> 11) as f64 / (1u64 << 53) as f64 / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_names_again_and_jitter_stays_near_one() {
        let (a, b) = (Random::new(7), Random::new(7));
        assert_eq!(a.hex(8), b.hex(8));
        assert_eq!(a.hex(8), b.hex(16)[..8]);
        assert_ne!(a.hex(8), a.hex(8));
        assert!((0..1000).map(|_| a.jitter()).all(|j| (0.75..1.25).contains(&j)));
    }
}
