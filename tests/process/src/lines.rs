//! What a program has written, kept within bounds.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};

/// Lines that are kept of one program; of more, the oldest are forgotten.
pub const LINES_MAX: usize = 100_000;
/// A longer line is taken for several.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Lines that an error shows.
const TAIL_LINES: usize = 20;

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// The lines of a program, numbered from the first that it wrote.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    kept: VecDeque<(Stream, String)>,
    forgotten: usize,
}

impl Lines {
    pub(crate) fn push(&mut self, stream: Stream, line: String) {
        if self.kept.len() == LINES_MAX {
            self.kept.pop_front();
            self.forgotten += 1;
        }
        self.kept.push_back((stream, line));
    }

    /// Lines that are no longer kept.
    pub(crate) fn forgotten(&self) -> usize {
        self.forgotten
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.kept.iter().map(|(_, line)| line.as_str())
    }

    /// The first thing that `wanted` finds among the lines from number `next` on, which moves past
    /// those that were looked at.
    pub(crate) fn find<T>(
        &self,
        next: &mut usize,
        mut wanted: impl FnMut(Stream, &str) -> Option<T>,
    ) -> Option<T> {
        *next = (*next).max(self.forgotten);
        while let Some((stream, line)) = self.kept.get(*next - self.forgotten) {
            *next += 1;
            if let Some(found) = wanted(*stream, line) {
                return Some(found);
            }
        }
        None
    }

    /// The last lines, for an error.
    pub(crate) fn tail(&self) -> String {
        if self.kept.is_empty() {
            return "it has written nothing".to_owned();
        }
        let from = self.kept.len().saturating_sub(TAIL_LINES);
        let last = self.kept.range(from..);
        let lines: String = last.map(|(_, line)| format!("\n  {line}")).collect();
        format!("its last lines:{lines}")
    }
}

/// Hands on each line of `source`, to its end.
pub(crate) fn read(source: impl Read, mut take: impl FnMut(String)) {
    let mut reader = BufReader::new(source);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let mut line = reader.by_ref().take(LINE_BYTES_MAX);
        match line.read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
                take(String::from_utf8_lossy(line).into_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_are_forgotten_and_counted_and_later_ones_are_found() {
        let mut lines = Lines::default();
        for number in 0..LINES_MAX + 3 {
            lines.push(Stream::Out, number.to_string());
        }
        assert_eq!(lines.forgotten(), 3);
        assert_eq!(lines.texts().next(), Some("3"));
        let mut next = 0;
        let found = lines.find(&mut next, |_, line| (line == "7").then_some(()));
        assert_eq!((found, next), (Some(()), 8));
        let again = lines.find(&mut next, |_, line| (line == "7").then_some(()));
        assert_eq!((again, next), (None, LINES_MAX + 3));
    }

    #[test]
    fn an_endless_line_is_cut_and_bytes_that_are_no_text_are_marked() {
        let mut found = Vec::new();
        let long = vec![b'a'; LINE_BYTES_MAX as usize + 5];
        read(&long[..], |line| found.push(line.len()));
        assert_eq!(found, [LINE_BYTES_MAX as usize, 5]);
        read(&b"a\xff\n\nb"[..], |line| found.push(line.len()));
        assert_eq!(found[2..], [4, 0, 1]);
    }
}
