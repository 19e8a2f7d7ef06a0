//! A report as text, Markdown and one HTML page that needs nothing else.

mod bars;
mod html;
mod part;
mod text;

use std::fmt::Write as _;

pub use bars::{Bar, Bars};
pub use part::{Page, Part, Table};

use part::is_number;
use text::printable;

impl Page {
    /// Of a title, and no part yet.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            parts: Vec::new(),
        }
    }

    /// Adds a heading.
    pub fn heading(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Heading(text.into()));
    }

    /// Adds a paragraph.
    pub fn text(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Text(text.into()));
    }

    /// Adds a warning.
    pub fn warning(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Warning(text.into()));
    }

    /// Adds a table, unless it has no rows.
    pub fn table(&mut self, table: Table) {
        if !table.rows.is_empty() {
            self.parts.push(Part::Table(table));
        }
    }

    /// Adds a chart, unless it has no bars.
    pub fn bars(&mut self, bars: Bars) {
        if !bars.bars.is_empty() {
            self.parts.push(Part::Bars(bars));
        }
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut out = format!("# {}\n", escaped(&self.title));
        for part in &self.parts {
            match part {
                Part::Heading(text) => drop(write!(out, "\n## {}\n", escaped(text))),
                Part::Text(text) => drop(write!(out, "\n{}\n", escaped(text))),
                Part::Warning(text) => drop(write!(out, "\n**Note:** {}\n", escaped(text))),
                Part::Table(table) => {
                    out.push('\n');
                    markdown_table(table, &mut out);
                }
                Part::Bars(_) => {}
            }
        }
        out
    }

    /// As text for a terminal.
    pub fn plain(&self) -> String {
        let mut out = format!("{}\n", printable(&self.title));
        for part in &self.parts {
            match part {
                Part::Heading(text) => drop(write!(out, "\n{}\n", printable(text))),
                Part::Text(text) => drop(writeln!(out, "{}", printable(text))),
                Part::Warning(text) => drop(writeln!(out, "NOTE  {}", printable(text))),
                Part::Table(table) => plain_table(table, &mut out),
                Part::Bars(_) => {}
            }
        }
        out
    }

    /// As one HTML page, with its style and charts inside.
    pub fn html(&self) -> String {
        html::page(self)
    }
}

fn markdown_table(table: &Table, out: &mut String) {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    out.push_str(&line(&table.heads));
    let numeric = |at: usize| at > 0 && table.rows.iter().all(|row| is_number(&row[at]));
    let rule = |at| if numeric(at) { "---:" } else { "---" };
    let rules: Vec<&str> = (0..table.heads.len()).map(rule).collect();
    out.push_str(&format!("|{}|\n", rules.join("|")));
    for row in &table.rows {
        out.push_str(&line(row));
    }
}

fn plain_table(table: &Table, out: &mut String) {
    let width = |at: usize| {
        let cells = table
            .rows
            .iter()
            .map(|row| &row[at])
            .chain([&table.heads[at]]);
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.heads.len()).map(width).collect();
    let numeric: Vec<bool> = (0..table.heads.len())
        .map(|at| at > 0 && table.rows.iter().all(|row| is_number(&row[at])))
        .collect();
    for row in std::iter::once(&table.heads).chain(&table.rows) {
        let cells = row.iter().enumerate().map(|(at, cell)| {
            let (cell, width) = (printable(cell), widths[at]);
            if numeric[at] {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        });
        let cells: Vec<String> = cells.collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
}

/// Nor does a name change what a Markdown page says.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text).chars() {
        if matches!(c, '|' | '<' | '>' | '[' | ']' | '`' | '*' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str) -> Page {
        let mut page = Page::new("Costs");
        page.heading("By route");
        page.warning("stale");
        let mut table = Table::new(&["route", "$"]);
        table.rows.push(vec![name.to_owned(), "1.77".to_owned()]);
        page.table(table);
        page.table(Table::new(&["empty"]));
        page.bars(Bars {
            caption: "by route".to_owned(),
            unit: "$".to_owned(),
            parts: vec!["store".to_owned()],
            bars: vec![Bar {
                name: name.to_owned(),
                values: vec![1.77],
            }],
        });
        page
    }

    #[test]
    fn a_page_is_text_and_markdown() {
        let page = sample("join");
        let table = "| route | $ |\n|---|---:|\n| join | 1.77 |\n";
        let markdown = format!("# Costs\n\n## By route\n\n**Note:** stale\n\n{table}");
        assert_eq!(page.markdown(), markdown);
        assert_eq!(
            page.plain(),
            "Costs\n\nBy route\nNOTE  stale\nroute     $\njoin   1.77\n"
        );
    }

    #[test]
    fn a_name_from_a_record_stays_a_name() {
        let page = sample("<script>alert(1)</script>|\u{1b}[2J");
        for text in [page.html(), page.markdown(), page.plain()] {
            assert!(!text.contains('\u{1b}'), "{text}");
        }
        assert!(!page.html().contains("<script"));
        assert!(
            page.markdown().contains(r"\<script\>"),
            "{}",
            page.markdown()
        );
    }

    #[test]
    fn a_page_needs_nothing_else() {
        let html = sample("join").html();
        for outside in ["http://", "https://", "src=", "@import", "<link"] {
            assert!(!html.contains(outside), "{outside}");
        }
        for needed in [
            "<svg",
            "prefers-color-scheme: dark",
            "@media print",
            "lang=\"en\"",
            "<caption",
        ] {
            assert!(html.contains(needed), "{needed}");
        }
    }
}
