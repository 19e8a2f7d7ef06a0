//! A plan, as a page.

use crate::calendar::{Calendar, hour_text};
use crate::cost::Cost;
use crate::money::Money;
use crate::page::{Bar, Bars, Page, Table};
use crate::plan::{Demand, Limit, Machine, Need, Plan, Replay};

/// A plan and the same for fewer and for more players, each with how many times as many.
#[derive(Debug, Clone, Copy)]
pub struct Range<'a> {
    /// Fewer.
    pub low: (&'a Plan, f64),
    /// As asked.
    pub likely: &'a Plan,
    /// More.
    pub high: (&'a Plan, f64),
}

/// The page.
pub fn page(demand: &Demand, calendar: &Calendar, machine: &Machine, range: &Range<'_>) -> Page {
    let plan = range.likely;
    let mut page = Page::new("What so many players need");
    page.text(format!(
        "{:.0} players a day, of whom {:.1} % are online in the busiest hour and {:.0} % of those \
         in a room, where each hears {} streams at once; {} hours from {}.",
        demand.players,
        100.0 * demand.concurrent_share,
        100.0 * demand.voice_share,
        demand.streams,
        demand.hours,
        hour_text(demand.from)
    ));
    first_limit(&mut page, demand, machine, plan);
    events(&mut page, demand, calendar);
    page.heading("Dollars");
    page.bars(Bars {
        caption: "For fewer players, as many as asked, and more".to_owned(),
        unit: "$".to_owned(),
        parts: ["machines", "voice egress", "edge"]
            .map(str::to_owned)
            .to_vec(),
        bars: [
            ("fewer", range.low.0),
            ("likely", plan),
            ("more", range.high.0),
        ]
        .map(|(name, plan)| Bar {
            name: name.to_owned(),
            values: [plan.machines, plan.egress, plan.edge.total()]
                .map(Money::dollars)
                .to_vec(),
        })
        .to_vec(),
    });
    page.table(dollars(range));
    page.heading("Relays by region and hour");
    page.text("The busiest day of each region; `relays` has the loss of a zone in it.");
    page.table(busiest_days(plan));
    page
}

fn first_limit(page: &mut Page, demand: &Demand, machine: &Machine, plan: &Plan) {
    let first = match plan.limit {
        Limit::Bandwidth => "its bandwidth ends first",
        Limit::Processor => "its processors end first",
    };
    page.text(format!(
        "A {} can send always, without credits, {} Mbit/s with {} % of {} processors: {first}. \
         With {:.0} % kept free it takes {:.0} streams.",
        machine.name,
        machine.baseline_mbit,
        machine.baseline_cpu_percent,
        machine.vcpus,
        100.0 * demand.headroom,
        plan.streams_per_relay
    ));
    if machine.check {
        page.warning(format!(
            "What a {} can do was read on {} at {}.",
            machine.name, machine.date, machine.source
        ));
    }
}

fn events(page: &mut Page, demand: &Demand, calendar: &Calendar) {
    let end = demand.from + i64::from(demand.hours);
    let mut table = Table::new(&[
        "event",
        "from",
        "hours",
        "regions",
        "players, times",
        "owner",
    ]);
    for event in &calendar.events {
        if event.from >= end || event.from + i64::from(event.hours) <= demand.from {
            page.text(format!(
                "Not within these hours: {} ({}).",
                event.name,
                hour_text(event.from)
            ));
            continue;
        }
        for region in &event.regions {
            if !demand.regions.contains_key(region) {
                page.warning(format!(
                    "{} is for {region}, a region that is not planned.",
                    event.name
                ));
            }
        }
        let regions = if event.regions.is_empty() {
            "all".to_owned()
        } else {
            event.regions.join(", ")
        };
        table.rows.push(vec![
            event.name.clone(),
            hour_text(event.from),
            event.hours.to_string(),
            regions,
            event.factor.to_string(),
            event.owner.clone(),
        ]);
    }
    if !table.rows.is_empty() {
        page.heading("Events");
        page.table(table);
    }
}

fn dollars(range: &Range<'_>) -> Table {
    let plans = [range.low.0, range.likely, range.high.0];
    let times = |times: f64| format!("{times:.2} times the players");
    let heads = ["part", &times(range.low.1), "likely", &times(range.high.1)];
    let mut table = Table::new(&heads);
    let mut row = |name: &str, of: &dyn Fn(&Plan) -> String| {
        let mut cells = vec![name.to_owned()];
        cells.extend(plans.map(of));
        table.rows.push(cells);
    };
    row("machines that follow the need, $", &|plan| {
        plan.machines.text(2)
    });
    row("machines of the busiest hour all the time, $", &|plan| {
        plan.machines_at_peak.text(2)
    });
    row("voice egress, $", &|plan| plan.egress.text(2));
    for (at, part) in Cost::PARTS.into_iter().enumerate() {
        row(&format!("edge: {part}, $"), &|plan| {
            plan.edge.parts()[at].text(2)
        });
    }
    row("all, relays following, $", &|plan| plan.total().text(2));
    row("voice egress, GB", &|plan| format!("{:.0}", plan.egress_gb));
    row("most relays at once", &|plan| {
        most(plan, |need| f64::from(need.relays))
    });
    row("most cores at once, for forwarding", &|plan| {
        most(plan, |need| need.cores)
    });
    row("read units, million", &|plan| {
        format!("{:.2}", plan.units.0 as f64 / 1e6)
    });
    row("write units, million", &|plan| {
        format!("{:.2}", plan.units.1 as f64 / 1e6)
    });
    table
}

/// The sum over regions in the hour in which it is most.
fn most(plan: &Plan, of: fn(&Need) -> f64) -> String {
    let hours = plan.needs.values().map(Vec::len).max().unwrap_or(0);
    let at = |hour: usize| {
        plan.needs
            .values()
            .filter_map(|needs| needs.get(hour))
            .map(of)
            .sum::<f64>()
    };
    format!("{:.0}", (0..hours).map(at).fold(0.0, f64::max).ceil())
}

fn busiest_days(plan: &Plan) -> Table {
    let mut table = Table::new(&[
        "region", "hour", "online", "streams", "Mbit/s", "cores", "relays",
    ]);
    for (region, needs) in &plan.needs {
        let busiest = (0..needs.len()).max_by(|a, b| needs[*a].online.total_cmp(&needs[*b].online));
        let day = busiest.unwrap_or(0) / 24;
        for need in needs.iter().skip(day * 24).take(24) {
            table.rows.push(vec![
                region.clone(),
                hour_text(need.hour),
                format!("{:.0}", need.online),
                format!("{:.0}", need.streams),
                format!("{:.0}", need.mbit),
                format!("{:.1}", need.cores),
                need.relays.to_string(),
            ]);
        }
    }
    table
}

/// Adds what replayed weeks came to.
pub fn add_replays(page: &mut Page, replays: &[(u64, Replay)]) {
    let mut table = Table::new(&[
        "seed",
        "region-hours",
        "over what relays can do",
        "within the headroom",
        "GB planned",
        "GB used",
        "of what was planned, used %",
    ]);
    for (seed, replay) in replays {
        table.rows.push(vec![
            seed.to_string(),
            replay.hours.to_string(),
            replay.over.to_string(),
            replay.in_headroom.to_string(),
            format!("{:.0}", replay.gb.0),
            format!("{:.0}", replay.gb.1),
            format!("{:.0}", 100.0 * replay.used_share),
        ]);
    }
    page.heading("The same hours replayed");
    page.text(
        "Squads of five come and go, and talk or are silent: 8 % around the curve from hour to \
         hour, and half around the mean from squad to squad. No real weeks exist yet.",
    );
    page.table(table);
}
