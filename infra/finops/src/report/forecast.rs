//! A forecast beside its budget, as a part of a page and for programs.

use serde_json::{Value, json};

use crate::budgets::Budget;
use crate::calendar::hour_text;
use crate::date::Date;
use crate::forecast::{Interval, Outlook, Span};
use crate::hours::Hours;
use crate::money::Money;
use crate::page::{Bar, Bars, Page, Table};

/// How a month goes with its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// Nine in ten courses stay below it.
    Within,
    /// More than one in ten passes it.
    MayPass,
    /// Half of the courses pass it.
    WillPass,
    /// What is spent is over it already.
    Passed,
}

impl Alarm {
    /// Of a month and its budget.
    pub fn of(month: &Span, budget: Money) -> Self {
        let passes = |dollars: f64| dollars > budget.dollars();
        match month.whole {
            _ if month.spent > budget => Self::Passed,
            whole if passes(whole.likely) => Self::WillPass,
            whole if passes(whole.high) => Self::MayPass,
            _ => Self::Within,
        }
    }

    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Within => "within",
            Self::MayPass => "may-pass",
            Self::WillPass => "will-pass",
            Self::Passed => "passed",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Within => "is within",
            Self::MayPass => "may pass",
            Self::WillPass => "will pass",
            Self::Passed => "has passed",
        }
    }
}

/// A month of something that has a budget.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// A region; none is all of them.
    pub region: Option<String>,
    /// The month.
    pub month: Span,
    /// What it may cost.
    pub budget: Money,
    /// How it goes.
    pub alarm: Alarm,
}

/// This month and the next against the budget, of all regions and of those with one of their own.
pub fn held(outlook: &Outlook, budget: &Budget) -> Vec<Held> {
    let of_all = [(None, &outlook.months, budget.month)];
    let of_regions = budget.regions.iter().filter_map(|(region, budget)| {
        let months = outlook.regions.get(region)?;
        Some((Some(region.clone()), months, *budget))
    });
    let all = of_all.into_iter().chain(of_regions);
    let held = all.flat_map(|(region, months, budget)| {
        months.iter().map(move |month| Held {
            region: region.clone(),
            month: month.clone(),
            budget,
            alarm: Alarm::of(month, budget),
        })
    });
    held.collect()
}

/// Whether this month will pass a budget, or has.
pub fn passes(outlook: &Outlook, held: &[Held]) -> bool {
    let now = outlook.months[0].from;
    let is_of_now = |it: &&Held| it.month.from == now;
    held.iter()
        .filter(is_of_now)
        .any(|it| it.alarm >= Alarm::WillPass)
}

/// Adds it to a page.
pub fn add(page: &mut Page, outlook: &Outlook, budget: Option<&Budget>, hours: &Hours) {
    page.heading("This month and the next");
    alarms(page, outlook, budget);
    page.text(format!(
        "From {} on it is a forecast: of ten courses eight lie from at least to at most. It \
         goes by dollars of records by hour, and by the calendar of events. What records do not \
         say is in none of it: hours of machines that wait, storage, taxes, discounts. It was \
         tried on weeks of a model alone; no real weeks exist yet.",
        hour_text(outlook.at)
    ));
    notes(page, outlook, hours);
    page.bars(Bars {
        caption: "By day: what is spent, and the forecast, which ends at its most".to_owned(),
        unit: "$".to_owned(),
        parts: ["spent", "at least", "likely", "at most"]
            .map(str::to_owned)
            .to_vec(),
        bars: outlook.days.iter().map(bar).collect(),
    });
    let mut table = Table::new(&[
        "month",
        "region",
        "spent $",
        "at least $",
        "likely $",
        "at most $",
    ]);
    let all = ("all".to_owned(), &outlook.months);
    let regions = outlook
        .regions
        .iter()
        .map(|(name, months)| (name.clone(), months));
    for (region, months) in std::iter::once(all).chain(regions) {
        for month in months {
            let Interval { low, likely, high } = month.whole;
            let mut row = vec![
                month_text(month.from),
                region.clone(),
                month.spent.to_string(),
            ];
            row.extend([low, likely, high].map(|it| money(it).to_string()));
            table.rows.push(row);
        }
    }
    page.table(table);
}

fn alarms(page: &mut Page, outlook: &Outlook, budget: Option<&Budget>) {
    let Some(budget) = budget else {
        return;
    };
    for held in held(outlook, budget) {
        let of = held
            .region
            .map_or(String::new(), |region| format!(" of {region}"));
        let line = format!(
            "{}{of} {} its budget of {} $: likely {} $, at most {} $.",
            month_text(held.month.from),
            held.alarm.words(),
            held.budget.text(2),
            money(held.month.whole.likely),
            money(held.month.whole.high)
        );
        match held.alarm {
            Alarm::Within => page.text(line),
            _ => page.warning(line),
        }
    }
    for region in budget.regions.keys() {
        if !outlook.regions.contains_key(region) {
            page.text(format!(
                "{region} has a budget, and no record is from there."
            ));
        }
    }
}

fn notes(page: &mut Page, outlook: &Outlook, hours: &Hours) {
    if outlook.filled_hours > 0 {
        page.warning(format!(
            "{} hours of regions have no record this month; they are taken as the model has them.",
            outlook.filled_hours
        ));
    }
    for region in &outlook.too_short {
        page.warning(format!(
            "{region} has fewer than {} hours with records: nothing of what it will spend is in \
             the forecast.",
            crate::forecast::HOURS_MIN
        ));
    }
    if hours.left_out != Money::ZERO {
        page.warning(format!(
            "{} $ are of more regions or hours than are kept apart, and in no month.",
            hours.left_out
        ));
    }
}

/// Each part is what it adds to the one before it.
fn bar(day: &Span) -> Bar {
    let steps = [
        day.spent.dollars(),
        day.whole.low,
        day.whole.likely,
        day.whole.high,
    ];
    let mut reached = 0.0;
    let values = steps.map(|step| {
        let more = (step - reached).max(0.0);
        reached += more;
        more
    });
    Bar {
        name: day.from.to_string(),
        values: values.to_vec(),
    }
}

/// The figures, for programs: dollars as text.
pub fn figures(outlook: &Outlook, budget: Option<&Budget>) -> Value {
    let span = |span: &Span| {
        json!({
            "from": span.from.to_string(),
            "spent": span.spent.text(12),
            "low": money(span.whole.low).text(12),
            "likely": money(span.whole.likely).text(12),
            "high": money(span.whole.high).text(12),
        })
    };
    let spans = |all: &[Span]| all.iter().map(span).collect::<Vec<_>>();
    let regions = outlook.regions.iter();
    let regions = regions.map(|(region, months)| (region.clone(), json!(spans(months))));
    let held = budget
        .map(|budget| held(outlook, budget))
        .unwrap_or_default();
    let held = held.iter().map(|held| {
        json!({
            "region": held.region,
            "month": month_text(held.month.from),
            "budget": held.budget.text(2),
            "alarm": held.alarm.name(),
        })
    });
    json!({
        "at": hour_text(outlook.at),
        "interval_percent": crate::forecast::backtest::WANTED,
        "months": spans(&outlook.months),
        "regions": Value::Object(regions.collect()),
        "days": spans(&outlook.days),
        "filled_hours": outlook.filled_hours,
        "too_short": outlook.too_short,
        "budgets": held.collect::<Vec<_>>(),
    })
}

fn month_text(first: Date) -> String {
    let (year, month, _) = first.civil();
    format!("{year:04}-{month:02}")
}

/// A forecast is a float; what is beyond all money is shown as the most there is.
fn money(dollars: f64) -> Money {
    Money((dollars * 1e12) as i128)
}

#[cfg(test)]
#[path = "forecast_tests.rs"]
mod tests;
