//! Rows of CSV (RFC 4180), one at a time, within bounds.

use std::io::{self, BufRead};

/// Longest row that is read, bytes; a longer one is skipped to its end.
pub const ROW_BYTES_MAX: usize = 1 << 20;

/// A row, or why it is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// Its cells.
    Cells(Vec<String>),
    /// It is longer than [`ROW_BYTES_MAX`].
    TooLong,
    /// It is not UTF-8.
    NotText,
    /// The file ends within quotes: it was cut.
    Torn,
}

/// Reads rows of `input`.
#[derive(Debug)]
pub struct Rows<R> {
    input: R,
}

impl<R: BufRead> Rows<R> {
    /// From the beginning of `input`.
    pub fn new(input: R) -> Self {
        Self { input }
    }

    /// The next row; none at the end. Empty lines are none.
    ///
    /// # Errors
    /// When reading fails.
    pub fn next_row(&mut self) -> io::Result<Option<Row>> {
        loop {
            let mut row = Reading::default();
            let is_end = self.fill(&mut row)?;
            match row.end() {
                None if is_end => return Ok(None),
                None => {}
                found => return Ok(found),
            }
        }
    }

    /// Whether the input ended.
    fn fill(&mut self, row: &mut Reading) -> io::Result<bool> {
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(true);
            }
            let end = buffer.iter().position(|byte| row.take(*byte));
            let used = end.map_or(buffer.len(), |at| at + 1);
            self.input.consume(used);
            if end.is_some() {
                return Ok(false);
            }
        }
    }
}

/// A row as far as it was read.
#[derive(Debug, Default)]
struct Reading {
    bytes: usize,
    cells: Vec<Vec<u8>>,
    cell: Vec<u8>,
    is_quoted: bool,
    /// A quote within quotes came: the next byte says whether it ends them.
    is_after_quote: bool,
}

impl Reading {
    /// Takes a byte; whether the row ends with it.
    fn take(&mut self, byte: u8) -> bool {
        if self.is_after_quote {
            self.is_after_quote = false;
            if byte == b'"' {
                self.push(byte);
                return false;
            }
            self.is_quoted = false;
        }
        match byte {
            b'"' if self.is_quoted => self.is_after_quote = true,
            b'"' if self.cell.is_empty() => self.is_quoted = true,
            b'\n' if !self.is_quoted => return true,
            b',' if !self.is_quoted => {
                self.bytes += 1;
                let cell = std::mem::take(&mut self.cell);
                if self.bytes <= ROW_BYTES_MAX {
                    self.cells.push(cell);
                }
            }
            b'\r' if !self.is_quoted => {}
            byte => self.push(byte),
        }
        false
    }

    fn push(&mut self, byte: u8) {
        self.bytes += 1;
        if self.bytes <= ROW_BYTES_MAX {
            self.cell.push(byte);
        }
    }

    fn end(mut self) -> Option<Row> {
        if self.bytes > ROW_BYTES_MAX {
            return Some(Row::TooLong);
        }
        if self.is_quoted && !self.is_after_quote {
            return Some(Row::Torn);
        }
        if self.cell.is_empty() && self.cells.is_empty() {
            return None;
        }
        self.cells.push(self.cell);
        let cells = self.cells.into_iter().map(String::from_utf8);
        Some(
            cells
                .collect::<Result<_, _>>()
                .map_or(Row::NotText, Row::Cells),
        )
    }
}

/// A cell. What a spreadsheet would take for a formula becomes text.
pub fn field(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &[u8]) -> Vec<Row> {
        let mut rows = Rows::new(text);
        std::iter::from_fn(|| rows.next_row().unwrap()).collect()
    }

    fn cells(row: &[&str]) -> Row {
        Row::Cells(row.iter().map(|cell| (*cell).to_owned()).collect())
    }

    #[test]
    fn rows_are_read_and_faults_told() {
        let text = b"a,b\r\n\n\"x,\"\"y\"\"\nz\",\n";
        assert_eq!(all(text), [cells(&["a", "b"]), cells(&["x,\"y\"\nz", ""])]);
        assert_eq!(all(b"a,\"b"), [Row::Torn]);
        assert_eq!(all(b"a,\xff\nb,c"), [Row::NotText, cells(&["b", "c"])]);
        let mut long = vec![b'x'; ROW_BYTES_MAX + 1];
        long.extend_from_slice(b"\nb,c\n");
        assert_eq!(all(&long), [Row::TooLong, cells(&["b", "c"])]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(row in prop::collection::vec("[a-z,\"\n]{1,8}", 1..6)) {
            let line: Vec<String> = row.iter().map(|cell| field(cell)).collect();
            let text = line.join(",") + "\n";
            prop_assert_eq!(all(text.as_bytes()), [Row::Cells(row)]);
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(all(&bytes).len() <= bytes.len());
        }
    }
}
