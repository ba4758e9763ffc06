//! What happened, line by line: its hash says whether two runs were the same one, and its end is
//! what somebody reads who looks for the cause of a violation.

use std::collections::VecDeque;

/// The events of a run.
#[derive(Debug)]
pub(crate) struct Log {
    tail: VecDeque<String>,
    keep: usize,
    lines: u64,
    hash: u64,
}

impl Log {
    /// An empty one that keeps so many lines.
    pub(crate) const fn new(keep: usize) -> Self {
        Self {
            tail: VecDeque::new(),
            keep,
            lines: 0,
            // FNV-1a, 64 bits: Fowler, Noll, Vo.
            hash: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// Adds a line.
    pub(crate) fn add(&mut self, line: String) {
        for byte in line.bytes().chain([b'\n']) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.lines += 1;
        if self.tail.len() >= self.keep {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    /// The hash of all lines so far.
    #[must_use]
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// How many there are.
    #[must_use]
    pub(crate) const fn lines(&self) -> u64 {
        self.lines
    }

    /// The last lines.
    #[must_use]
    pub(crate) fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }
}
