//! In which rhythm alerts are posted.

use std::time::{Duration, Instant};

use super::generator::Generator;
use super::tally::Nanos;

/// How long deliveries and answers are waited for, once nothing is posted any more and nothing comes.
const SILENCE: Duration = Duration::from_secs(5);

/// When the next alert is posted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rhythm {
    /// As soon as fewer than this many alerts are undelivered; `None`: as soon as an earlier one is answered.
    Closed { window: Option<usize> },
    /// So many a second, whatever becomes of them.
    Open { per_second: f64 },
}

impl Generator {
    /// Posts for so long.
    pub(crate) fn run(&mut self, rhythm: Rhythm, rooms: u32, length: Duration) {
        match rhythm {
            Rhythm::Closed { window } => self.run_closed(window.unwrap_or(usize::MAX), rooms, length),
            Rhythm::Open { per_second } => self.run_open(per_second, rooms, length, |_| {}),
        }
    }

    fn run_closed(&mut self, window: usize, rooms: u32, length: Duration) {
        let end = Instant::now() + length;
        let posters = self.posters.len() as u32;
        let mut next: Vec<u32> = (0..posters).collect();
        while Instant::now() < end {
            for (poster, next) in next.iter_mut().enumerate() {
                while self.posters[poster].has_room() && self.tally.undelivered < window {
                    let room = *next;
                    *next = if room + posters < rooms {
                        room + posters
                    } else {
                        poster as u32
                    };
                    self.post(poster, room, self.now());
                }
            }
            self.step(Duration::from_millis(5));
        }
    }

    /// Posts at fixed instants, the rooms by turns. `meanwhile` is called again and again.
    pub(crate) fn run_open(
        &mut self,
        per_second: f64,
        rooms: u32,
        length: Duration,
        mut meanwhile: impl FnMut(&mut Self),
    ) {
        let begun = self.now();
        let count = (length.as_secs_f64() * per_second) as u64;
        let mut number = 0;
        while number < count {
            let due = begun + (number as f64 * 1e9 / per_second) as Nanos;
            let now = self.now();
            if now < due {
                // epoll knows milliseconds: the last of them is spent looking.
                self.step(Duration::from_nanos(due - now).saturating_sub(Duration::from_millis(1)));
                meanwhile(self);
                continue;
            }
            let room = (number % u64::from(rooms)) as u32;
            self.post(room as usize % self.posters.len(), room, due);
            number += 1;
        }
    }

    /// Waits until all is answered and delivered, or nothing has come for a while.
    pub(crate) fn drain(&mut self) {
        let mut left = (0, 0);
        let mut since = Instant::now();
        loop {
            let now_left = self.tally.undelivered + self.tally.unanswered;
            if now_left == 0 {
                return;
            }
            let seen = (now_left, self.tally.deliveries);
            if seen != left {
                left = seen;
                since = Instant::now();
            } else if since.elapsed() > SILENCE {
                return;
            }
            self.step(Duration::from_millis(5));
        }
    }

    /// Only takes what comes, for so long: what should not come shows, and pings are answered.
    pub(crate) fn idle(&mut self, length: Duration) {
        let end = Instant::now() + length;
        while Instant::now() < end {
            self.step(Duration::from_millis(5));
        }
    }
}
