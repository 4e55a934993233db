//! The sandbox's clock: tokio's time for waiting (paused in the simulation, so hours pass in no time), and a Unix time
//! that moves with it.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Clone, Debug)]
pub struct Clock {
    origin: Instant,
    /// Unix seconds at `origin`.
    start_unix: f64,
    /// How many times faster than on a real node things happen: a 30 s boot takes 30/speed s.
    speed: f64,
}

impl Clock {
    /// The system's time, with durations shortened by `speed` (1.0: as on a node).
    pub fn real(speed: f64) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), start_unix: now.as_secs_f64(), speed }
    }

    /// Starts at a fixed moment and moves with tokio's (paused) time.
    pub fn simulated(start_unix: i64) -> Self {
        Self { origin: Instant::now(), start_unix: start_unix as f64, speed: 1.0 }
    }

    /// Unix seconds.
    pub fn now(&self) -> f64 {
        self.start_unix + self.origin.elapsed().as_secs_f64()
    }

    pub fn now_s(&self) -> i64 {
        self.now() as i64
    }

    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// How long something that takes `seconds` on a real node takes here.
    pub fn scaled(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64((seconds / self.speed).max(0.0))
    }

    /// Waits as long as work of `seconds` on a real node takes here.
    pub async fn work(&self, seconds: f64) {
        if seconds > 0.0 {
            tokio::time::sleep(self.scaled(seconds)).await;
        }
    }
}
