//! The HTML page.

use std::fmt::Write as _;

use super::part::{Page, Part, Table, is_number};
use super::text::html as text;

const STYLE: &str = include_str!("page.css");

pub(super) fn page(page: &Page) -> String {
    let title = text(&page.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    );
    let mut heading = page.title.as_str();
    for part in &page.parts {
        match part {
            Part::Heading(words) => {
                heading = words;
                let _ = writeln!(out, "<h2>{}</h2>", text(words));
            }
            Part::Text(words) => drop(writeln!(out, "<p>{}</p>", text(words))),
            Part::Warning(words) => {
                let _ = writeln!(
                    out,
                    "<p class=\"warning\"><strong>Note:</strong> {}</p>",
                    text(words)
                );
            }
            Part::Table(rows) => table(rows, heading, &mut out),
            Part::Bars(bars) => {
                let _ = writeln!(
                    out,
                    "<figure>\n{}<figcaption>{}, {}</figcaption>\n</figure>",
                    bars.svg(),
                    text(&bars.caption),
                    text(&bars.unit)
                );
            }
        }
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn table(table: &Table, caption: &str, out: &mut String) {
    let _ = writeln!(
        out,
        "<div class=\"table\"><table>\n<caption>{}</caption>\n<thead><tr>",
        text(caption)
    );
    let numeric = |at: usize| at > 0 && table.rows.iter().all(|row| is_number(&row[at]));
    let class = |at| if numeric(at) { " class=\"number\"" } else { "" };
    for (at, head) in table.heads.iter().enumerate() {
        let _ = write!(out, "<th scope=\"col\"{}>{}</th>", class(at), text(head));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let _ = match at {
                0 => write!(out, "<th scope=\"row\">{}</th>", text(cell)),
                _ => write!(out, "<td{}>{}</td>", class(at), text(cell)),
            };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table></div>\n");
}
