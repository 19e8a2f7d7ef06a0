//! A line of characters: participants, and what relays could carry.

use std::fmt::Write as _;

const ROWS: u32 = 10;
/// Columns at most.
const COLUMNS: usize = 84;

/// Draws quarters of an hour: `#` are participants, `_` is what relays that took people could
/// carry.
pub fn draw(line: &[(u32, u32)]) -> String {
    let each = line.len().div_ceil(COLUMNS).max(1);
    let columns: Vec<(u32, u32)> = line.chunks(each).map(column).collect();
    let top = columns
        .iter()
        .map(|it| it.0.max(it.1))
        .max()
        .unwrap_or(0)
        .max(1);
    let row_of = |value: u32| (u64::from(value) * u64::from(ROWS)).div_ceil(top.into()) as u32;
    let mut text = String::new();
    for row in (1..=ROWS).rev() {
        let cell = |column: &(u32, u32)| match (row_of(column.0), row_of(column.1)) {
            (_, can) if can == row => '_',
            (people, _) if people >= row => '#',
            _ => ' ',
        };
        let cells: String = columns.iter().map(cell).collect();
        let label = u64::from(top) * u64::from(row) / u64::from(ROWS);
        let _ = writeln!(text, "{label:>7} |{}", cells.trim_end());
    }
    let hours = each as f64 / 4.0;
    let _ = writeln!(text, "{:>7} +{}", 0, "-".repeat(columns.len()));
    let _ = writeln!(text, "{:>9}a column is {hours} h", "");
    text
}

fn column(quarters: &[(u32, u32)]) -> (u32, u32) {
    let people = quarters.iter().map(|it| it.0).max().unwrap_or(0);
    let can = quarters.iter().map(|it| it.1).min().unwrap_or(0);
    (people, can)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_carried_stands_above_who_is_there() {
        let text = draw(&[(50, 100), (100, 100), (10, 100)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "    100 |___");
        assert_eq!((lines[1], lines[5]), ("     90 | #", "     50 |##"));
        assert_eq!(lines[9], "     10 |###");
        assert!(text.contains("0.25 h"));
        assert!(draw(&[]).contains("+\n"), "nothing is no panic");
    }
}
