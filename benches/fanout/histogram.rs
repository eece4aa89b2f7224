//! Durations in buckets that are less than one percent wide.

/// Each power of two has 2^7 buckets.
const BITS: u32 = 7;
const BUCKETS: usize = (64 - BITS as usize + 1) << BITS;

/// How often which duration was seen, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    /// Empty until something is added.
    buckets: Vec<u64>,
    count: u64,
    longest: u64,
}

fn bucket_of(nanos: u64) -> usize {
    if nanos >> BITS == 0 {
        return nanos as usize;
    }
    let exponent = 63 - BITS - nanos.leading_zeros();
    ((exponent as usize + 1) << BITS) + ((nanos >> exponent) - (1 << BITS)) as usize
}

fn lower_bound(bucket: usize) -> u64 {
    let (offset, within) = (bucket >> BITS, (bucket & ((1 << BITS) - 1)) as u64);
    if offset == 0 {
        within
    } else {
        ((1 << BITS) + within) << (offset - 1)
    }
}

impl Histogram {
    pub(crate) fn add(&mut self, nanos: u64) {
        if self.buckets.is_empty() {
            self.buckets.resize(BUCKETS, 0);
        }
        self.buckets[bucket_of(nanos)] += 1;
        self.count += 1;
        self.longest = self.longest.max(nanos);
    }

    /// The duration that this share of all did not exceed, in milliseconds. `None`: nothing was seen.
    pub(crate) fn milliseconds_at(&self, share: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let wanted = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        let nanos = bucket.map_or(self.longest, |bucket| lower_bound(bucket).min(self.longest));
        Some(nanos as f64 / 1e6)
    }
}
