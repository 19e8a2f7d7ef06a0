//! What a month may cost: `infra/ops/budgets.json`, which Terraform reads too.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Number;

use crate::money::Money;

/// By environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Budgets(pub BTreeMap<String, Budget>);

/// What a month of an environment may cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Budget {
    /// All of it.
    pub month: Money,
    /// Of that, by region of AWS; a region that is not named has no budget of its own.
    pub regions: BTreeMap<String, Money>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    month_usd: Number,
    #[serde(default)]
    regions: BTreeMap<String, Number>,
}

impl Budgets {
    /// Reads a file's text: `{"prod": {"month_usd": 2000, "regions": {"us-east-1": 800}}}`.
    ///
    /// # Errors
    /// Every fault, a line each.
    pub fn read(text: &str) -> Result<Self, String> {
        let rows: BTreeMap<String, Row> =
            serde_json::from_str(text).map_err(|fault| fault.to_string())?;
        let (mut all, mut faults) = (BTreeMap::new(), Vec::new());
        for (environment, row) in rows {
            match budget(&row) {
                Ok(budget) => drop(all.insert(environment, budget)),
                Err(fault) => faults.push(format!("the budget of `{environment}`: {fault}")),
            }
        }
        if faults.is_empty() {
            Ok(Self(all))
        } else {
            Err(faults.join("\n"))
        }
    }

    /// That of an environment.
    ///
    /// # Errors
    /// A sentence that says which there are.
    pub fn of(&self, environment: &str) -> Result<&Budget, String> {
        self.0.get(environment).ok_or_else(|| {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let known = known.join(", ");
            format!("`{environment}` has no budget; the file has {known}")
        })
    }
}

fn budget(row: &Row) -> Result<Budget, String> {
    let month = dollars("month_usd", &row.month_usd)?;
    let mut regions = BTreeMap::new();
    for (region, number) in &row.regions {
        regions.insert(region.clone(), dollars(region, number)?);
    }
    let sum: Money = regions.values().copied().sum();
    if sum > month {
        let (sum, month) = (sum.text(2), month.text(2));
        return Err(format!(
            "its regions are {sum} $ together, over its {month} $"
        ));
    }
    Ok(Budget { month, regions })
}

fn dollars(what: &str, number: &Number) -> Result<Money, String> {
    match Money::parse(&number.to_string()) {
        Ok(Money::ZERO) => Err(format!("{what} is 0; a budget is over 0")),
        Ok(amount) => Ok(amount),
        Err(fault) => Err(format!("{what}: {fault}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budgets_of_the_repository_are_read() {
        let budgets = Budgets::read(include_str!("../../ops/budgets.json")).unwrap();
        assert!(budgets.of("prod").unwrap().month > budgets.of("dev").unwrap().month);
        let unknown = budgets.of("test").unwrap_err();
        assert!(unknown.contains("the file has dev, prod"), "{unknown}");
    }

    #[test]
    fn what_is_wrong_with_a_budget_is_said() {
        for (text, why) in [
            (r#"{"a": {"month_usd": -5}}"#, "`-5` is no amount"),
            (r#"{"a": {"month_usd": 0}}"#, "a budget is over 0"),
            (r#"{"a": {"month_usd": "5"}}"#, "invalid type"),
            (r#"{"a": {"month_usd": 1e40}}"#, "is no amount"),
            (
                r#"{"a": {"month_usd": 5, "regions": {"eu": 6}}}"#,
                "6.00 $ together, over its 5.00",
            ),
            (r#"{"a": {"month_usd": 5, "region": {}}}"#, "unknown field"),
            ("[]", "invalid type"),
        ] {
            let fault = Budgets::read(text).unwrap_err();
            assert!(fault.contains(why), "{text}: {fault}");
        }
    }
}
