//! What came of a stream of numbered frames, and what repetitions made good.

/// How late a packet may come and still be heard: longer than most jitter buffers wait. Frames; at
/// most 63, since they are bits of a word.
const WINDOW: u32 = 8;

/// What a packet repeats of the frames before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carries {
    /// So many of them as they were (RED, RFC 2198).
    pub copies: u8,
    /// The one before it in less quality (in-band FEC of Opus, RFC 6716 section 2.1.7).
    pub coarse: bool,
}

/// Sums over frames whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Frames that were sent, as far as their numbers tell.
    pub expected: u64,
    /// Of them those whose packet did not come in time.
    pub lost: u64,
    /// Of those the ones that another packet brought as they were,
    pub repeated: u64,
    /// and in less quality.
    pub coarse: u64,
    /// Runs of frames that nothing made good.
    pub bursts: u64,
}

impl Counts {
    /// Frames that had to be concealed.
    pub fn concealed(&self) -> u64 {
        self.lost.saturating_sub(self.repeated + self.coarse)
    }

    /// A count as a share of what was expected; none when nothing was.
    pub fn share(&self, count: u64) -> Option<f64> {
        (self.expected > 0).then(|| (count as f64 / self.expected as f64).clamp(0.0, 1.0))
    }

    /// Burst ratio of what had to be concealed (ITU-T G.107 clause 7.5): the mean length of its
    /// bursts over the one that independent losses would have; at least 1.
    pub fn burst_ratio(&self) -> f64 {
        let concealed = self.concealed();
        let share = self.share(concealed).unwrap_or(0.0);
        let mean = concealed as f64 / self.bursts.max(1) as f64;
        (mean * (1.0 - share)).max(1.0)
    }

    /// Adds what another tally counted.
    pub fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.coarse += other.coarse;
        self.bursts += other.bursts;
    }
}

/// Counts the frames of one stream. Its size is fixed, and a packet takes a few shifts.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Highest number so far; none before the first packet.
    highest: Option<u64>,
    /// Bit n is of the frame n before the highest: it came, it was repeated, in less quality.
    came: u64,
    copied: u64,
    coarse: u64,
    /// How many of those bits are of frames since the first.
    open: u32,
    /// The last frame that was counted had to be concealed.
    in_burst: bool,
    counts: Counts,
}

impl Tally {
    /// Counts a packet. `number` has its roll-overs counted; one that comes a second time, or too
    /// late, changes nothing.
    pub fn note(&mut self, number: u64, carries: Carries) {
        let Some(highest) = self.highest else {
            self.highest = Some(number);
            (self.came, self.open) = (1, 1);
            return;
        };
        if let Some(ahead) = number.checked_sub(highest).filter(|ahead| *ahead > 0) {
            self.advance(ahead);
            self.highest = Some(number);
        }
        let back = highest.max(number) - number;
        if back >= u64::from(self.open) {
            return;
        }
        self.came |= 1 << back;
        // All fits: a window and 255 bits would not, so no more than a window is looked at.
        let copies = u64::from(carries.copies).min(u64::from(WINDOW));
        self.copied |= ((1 << copies) - 1) << (back + 1);
        if carries.coarse {
            self.coarse |= 1 << (back + 1);
        }
    }

    /// Moves on by `frames`, of which none has come yet.
    fn advance(&mut self, frames: u64) {
        for _ in 0..frames.min(u64::from(WINDOW)) {
            if self.open == WINDOW {
                self.close_oldest();
            }
            self.open += 1;
            self.came <<= 1;
            self.copied <<= 1;
            self.coarse <<= 1;
        }
        let passed = frames.saturating_sub(u64::from(WINDOW));
        if passed > 0 {
            // Longer than the window: nothing can bring them any more.
            self.counts.expected += passed;
            self.counts.lost += passed;
            self.counts.bursts += u64::from(!self.in_burst);
            self.in_burst = true;
        }
    }

    /// The time of the oldest frame in the window is over.
    fn close_oldest(&mut self) {
        self.open -= 1;
        let bit = 1 << self.open;
        let is = |bits: u64| bits & bit != 0;
        self.counts.expected += 1;
        let is_lost = !is(self.came);
        self.counts.lost += u64::from(is_lost);
        let is_repeated = is_lost && is(self.copied);
        let is_coarse = is_lost && !is_repeated && is(self.coarse);
        self.counts.repeated += u64::from(is_repeated);
        self.counts.coarse += u64::from(is_coarse);
        let is_concealed = is_lost && !is_repeated && !is_coarse;
        self.counts.bursts += u64::from(is_concealed && !self.in_burst);
        self.in_burst = is_concealed;
    }

    /// What was counted since the last time, of frames whose time is over: those of the last
    /// moment, eight at most, are counted the next time.
    pub fn take(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }
}
