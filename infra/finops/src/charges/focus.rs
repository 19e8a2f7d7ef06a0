//! Charges as rows of FOCUS 1.2 (FinOps Open Cost and Usage Specification, tag v1.2), and a check
//! of its mandatory columns.

use std::fmt::Write as _;

use super::{Charges, decimal};
use crate::csv::{Row, Rows, field};
use crate::date::Date;

/// The version of the rows.
pub const VERSION: &str = "1.2";
const ACCOUNT: &str = "estimate";

/// Columns that every row must have, in the order in which they are written; whether each may be
/// empty.
pub const MANDATORY: [(&str, bool); 21] = [
    ("BilledCost", false),
    ("BillingAccountId", false),
    ("BillingAccountName", true),
    ("BillingCurrency", false),
    ("BillingPeriodEnd", false),
    ("BillingPeriodStart", false),
    ("ChargeCategory", false),
    ("ChargeClass", true),
    ("ChargeDescription", true),
    ("ChargePeriodEnd", false),
    ("ChargePeriodStart", false),
    ("ContractedCost", false),
    ("EffectiveCost", false),
    ("InvoiceIssuerName", false),
    ("ListCost", false),
    ("PricingQuantity", true),
    ("PricingUnit", true),
    ("ProviderName", false),
    ("PublisherName", false),
    ("ServiceCategory", false),
    ("ServiceName", false),
];

/// Columns besides: conditional ones that say something here, and our own.
const BESIDES: [&str; 7] = [
    "ChargeFrequency",
    "PricingCategory",
    "RegionId",
    "ResourceId",
    "Tags",
    "x_Estimate",
    "x_FocusVersion",
];

const CATEGORIES: [&str; 5] = ["Usage", "Purchase", "Tax", "Credit", "Adjustment"];
const SERVICES: [&str; 6] = [
    "Compute",
    "Databases",
    "Networking",
    "Management and Governance",
    "Storage",
    "Security",
];
const COSTS: [&str; 4] = ["BilledCost", "ContractedCost", "EffectiveCost", "ListCost"];
const TIMES: [&str; 4] = [
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargePeriodEnd",
    "ChargePeriodStart",
];

impl Charges<'_> {
    /// As CSV. They are estimates at list prices, and say so; no bill was seen.
    pub fn focus(&self) -> String {
        let columns = MANDATORY.iter().map(|(name, _)| *name).chain(BESIDES);
        let mut out = columns.collect::<Vec<_>>().join(",") + "\n";
        for (key, charge) in &self.all {
            let (item, service, category, unit) = key.item.names();
            let (first, next) = key.day.month();
            let time = |day: Date| format!("{day}T00:00:00Z");
            let cost = charge.cost.text(12);
            let tags = serde_json::json!({
                "environment": self.environment,
                "feature": key.owner.feature,
                "team": key.owner.team,
            });
            let cells = [
                cost.clone(),
                ACCOUNT.to_owned(),
                String::new(),
                "USD".to_owned(),
                time(next),
                time(first),
                "Usage".to_owned(),
                String::new(),
                field(&format!("{} of {}, at list prices", item, key.resource)),
                time(key.day.plus_days(1)),
                time(key.day),
                cost.clone(),
                cost.clone(),
                "Amazon Web Services".to_owned(),
                cost,
                decimal(charge.quantity, unit.parts()),
                unit.name().to_owned(),
                "AWS".to_owned(),
                "AWS".to_owned(),
                category.to_owned(),
                service.to_owned(),
                "Usage-Based".to_owned(),
                "Standard".to_owned(),
                field(&key.region),
                field(&key.resource),
                field(&tags.to_string()),
                "true".to_owned(),
                VERSION.to_owned(),
            ];
            let _ = writeln!(out, "{}", cells.join(","));
        }
        out
    }
}

/// Checks rows of FOCUS as CSV: that the mandatory columns are there, filled where they must be,
/// and of their kind.
///
/// # Errors
/// Every fault, with its line and column; at most 100.
pub fn check(text: &str) -> Result<usize, Vec<String>> {
    let mut lines = Rows::new(text.as_bytes());
    let mut next = || lines.next_row().expect("a text in memory is always read");
    let heads = match next() {
        Some(Row::Cells(heads)) => heads,
        _ => Vec::new(),
    };
    let mut faults = Vec::new();
    for (name, _) in MANDATORY {
        if !heads.iter().any(|head| head == name) {
            faults.push(format!("the column {name} is missing"));
        }
    }
    let mut rows = 0;
    while let Some(row) = next() {
        let at = rows;
        rows += 1;
        let Row::Cells(cells) = row else {
            faults.push(format!("line {}: torn, or too long", at + 2));
            continue;
        };
        if cells.len() != heads.len() {
            faults.push(format!(
                "line {}: {} cells under {} columns",
                at + 2,
                cells.len(),
                heads.len()
            ));
            continue;
        }
        for (head, cell) in heads.iter().zip(&cells) {
            if let Some(fault) = fault_of(head, cell) {
                faults.push(format!("line {}: {head} is `{cell}`: {fault}", at + 2));
            }
        }
        if faults.len() >= 100 {
            break;
        }
    }
    if faults.is_empty() {
        Ok(rows)
    } else {
        Err(faults)
    }
}

fn fault_of(head: &str, cell: &str) -> Option<&'static str> {
    let may_be_empty = MANDATORY
        .iter()
        .find(|(name, _)| *name == head)
        .map(|(_, nullable)| *nullable);
    match (cell.is_empty(), may_be_empty) {
        (true, Some(false)) => return Some("it may not be empty"),
        (true, _) => return None,
        _ => {}
    }
    let (is_good, why) = match head {
        head if COSTS.contains(&head) => (
            cell.parse::<f64>().is_ok_and(f64::is_finite),
            "not a number",
        ),
        "PricingQuantity" => (
            cell.parse::<f64>().is_ok_and(f64::is_finite),
            "not a number",
        ),
        head if TIMES.contains(&head) => (is_time(cell), "not a time such as 2026-11-30T00:00:00Z"),
        "BillingCurrency" => (
            cell.len() == 3 && cell.bytes().all(|b| b.is_ascii_uppercase()),
            "not a code of ISO 4217",
        ),
        "ChargeCategory" => (CATEGORIES.contains(&cell), "no category of charges"),
        "ServiceCategory" => (
            SERVICES.contains(&cell),
            "no category of services that we use",
        ),
        "Tags" => (
            serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(cell).is_ok(),
            "not a JSON object",
        ),
        _ => (true, ""),
    };
    (!is_good).then_some(why)
}

fn is_time(cell: &str) -> bool {
    let day = cell.get(..10).and_then(|day| day.parse::<Date>().ok());
    day.is_some() && cell.get(10..) == Some("T00:00:00Z")
}
