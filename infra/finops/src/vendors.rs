//! What a plan's traffic would cost elsewhere: each in the unit in which it is sold.

use crate::book::{ANY_REGION, Book, Price, Unit};
use crate::measured::Measured;
use crate::money::Money;
use crate::plan::{Demand, Plan};

/// Hours of a month, as in the book.
const MONTH_HOURS: f64 = crate::book::MONTH_HOURS as f64;
const MS_PER_HOUR: f64 = 3_600_000.0;
/// Users of a block of those who sell by peak users.
const PEAK_BLOCK: u128 = 5_000;

/// A month of traffic, in every unit in which anybody sells it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traffic {
    /// Participants in voice times time, milliseconds.
    pub voice_ms: u128,
    /// Voice to the internet, bytes.
    pub voice_bytes: u128,
    /// Most participants in voice at once.
    pub peak_users: u128,
    /// Matchmaking tickets: a package of a player each.
    pub tickets: u128,
    /// Our own machines and egress for the voice.
    pub voice: Money,
    /// Our own machines for the voice, egress apart.
    pub machines: Money,
    /// Our own cost of the tickets.
    pub matchmaking: Money,
}

/// What the same costs at one provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Who, as in the book; `here` for our own.
    pub provider: String,
    /// What is sold there, in words.
    pub what: String,
    /// How much of it the traffic is, in words.
    pub counted: String,
    /// A month.
    pub month: Money,
    /// The price behind it, but for our own.
    pub price: Option<Price>,
}

impl Traffic {
    /// Of a plan, scaled to a month of 730 hours.
    ///
    /// # Errors
    /// A sentence when the measured figures have no price of a ticket.
    pub fn of(
        demand: &Demand,
        plan: &Plan,
        book: &Book,
        measured: &Measured,
    ) -> Result<Self, String> {
        let hours = f64::from(demand.hours.max(1));
        let scale = MONTH_HOURS / hours;
        let needs = || plan.needs.values().flatten();
        let online: f64 = needs().map(|need| need.online).sum();
        let in_voice = online * demand.voice_share;
        let at_once = |n: usize| -> f64 {
            let regions = plan.needs.values().filter_map(|needs| needs.get(n));
            regions.map(|need| need.online).sum()
        };
        let peak = (0..demand.hours as usize).map(at_once).fold(0.0, f64::max);
        let tickets = (online * demand.tickets_per_hour * scale).round() as u128;
        let million = measured.cost("ticket", book)?;
        let month = |money: Money| scaled(money, scale);
        Ok(Self {
            voice_ms: (in_voice * MS_PER_HOUR * scale).round() as u128,
            voice_bytes: (plan.egress_gb * 1e9 * scale).round() as u128,
            peak_users: (peak * demand.voice_share).ceil() as u128,
            tickets,
            voice: month(plan.machines + plan.egress),
            machines: month(plan.machines),
            matchmaking: million.total().scaled(tickets, 1_000_000),
        })
    }

    /// What the voice costs here and elsewhere, ours first, then the cheapest.
    pub fn voice_offers(&self, book: &Book) -> Vec<Offer> {
        let mut offers: Vec<Offer> = book
            .iter()
            .filter_map(|price| self.voice_at(price))
            .collect();
        offers.sort_by_key(|offer| (offer.month, offer.provider.clone()));
        let own = Offer {
            provider: "here".to_owned(),
            what: "relays and egress on AWS".to_owned(),
            counted: gigabytes(self.voice_bytes),
            month: self.voice,
            price: None,
        };
        offers.insert(0, own);
        offers
    }

    fn voice_at(&self, price: &Price) -> Option<Offer> {
        if price.region != ANY_REGION {
            return None;
        }
        let (what, counted, month) = match (price.item.as_str(), price.unit) {
            ("voice", Unit::ThousandParticipantMinutes) => (
                "voice by participant-minute",
                format!("{:.0} minutes", self.voice_ms as f64 / 60_000.0),
                price.of_month(self.voice_ms),
            ),
            ("voice-peak-users", Unit::FiveThousandPeakUsers) => (
                "voice by peak users",
                format!("{} at once", self.peak_users),
                // Each block that is begun.
                price.of_month(self.peak_users.next_multiple_of(PEAK_BLOCK)),
            ),
            ("sfu-egress", Unit::Gb) => (
                "a forwarding unit by egress",
                gigabytes(self.voice_bytes),
                price.of_month(self.voice_bytes),
            ),
            ("egress-internet", Unit::Gb) => (
                "our relays there: egress; machines as on AWS",
                gigabytes(self.voice_bytes),
                price.of_month(self.voice_bytes) + self.machines,
            ),
            _ => return None,
        };
        Some(offer(price, what, counted, month))
    }

    /// The same for matchmaking.
    pub fn matchmaking_offers(&self, book: &Book) -> Vec<Offer> {
        let counted = format!("{} tickets", self.tickets);
        let own = Offer {
            provider: "here".to_owned(),
            what: "functions, with polls and passes".to_owned(),
            counted: counted.clone(),
            month: self.matchmaking,
            price: None,
        };
        let others = book
            .iter()
            .filter(|price| price.item == "matchmaking-package");
        let others = others.map(|price| {
            let what = "packages of players; 1 $ an hour of matchmaking comes on top";
            offer(price, what, counted.clone(), price.of_month(self.tickets))
        });
        [own].into_iter().chain(others).collect()
    }
}

fn offer(price: &Price, what: &str, counted: String, month: Money) -> Offer {
    Offer {
        provider: price.provider.clone(),
        what: what.to_owned(),
        counted,
        month,
        price: Some(price.clone()),
    }
}

fn gigabytes(bytes: u128) -> String {
    format!("{:.0} GB", bytes as f64 / 1e9)
}

fn scaled(money: Money, by: f64) -> Money {
    const PARTS: f64 = 1e6;
    money.scaled((by * PARTS).round() as u128, PARTS as u128)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic() -> Traffic {
        Traffic {
            voice_ms: 1_000 * 60_000 * 1_000,
            voice_bytes: 2_000_000_000_000,
            peak_users: 12_001,
            tickets: 2_000_000,
            voice: Money::parse("200").unwrap(),
            machines: Money::parse("7").unwrap(),
            matchmaking: Money::parse("14").unwrap(),
        }
    }

    #[test]
    fn each_counts_in_its_own_unit() {
        let offers = traffic().voice_offers(&Book::built_in());
        let month = |provider: &str| {
            let found = offers.iter().find(|offer| offer.provider == provider);
            found.unwrap_or_else(|| panic!("{provider}")).month
        };
        let dollars = |text: &str| Money::parse(text).unwrap();
        assert_eq!(offers[0].provider, "here");
        assert_eq!(month("agora"), dollars("990"), "a million minutes");
        assert_eq!(month("amazon-chime-sdk"), dollars("1700"));
        assert_eq!(
            month("vivox"),
            dollars("4000"),
            "5,000 free, two blocks begun"
        );
        assert_eq!(month("cloudflare-realtime"), dollars("50"), "1,000 GB free");
        assert_eq!(month("vultr"), dollars("27"), "2,000 GB and our machines");
        let others: Vec<Money> = offers[1..].iter().map(|offer| offer.month).collect();
        assert!(others.is_sorted());
        assert!(
            offers
                .iter()
                .all(|offer| offer.price.is_some() != (offer.provider == "here"))
        );
    }

    #[test]
    fn tickets_are_packages() {
        let offers = traffic().matchmaking_offers(&Book::built_in());
        let months: Vec<Money> = offers.iter().map(|offer| offer.month).collect();
        assert_eq!(
            months,
            [Money::parse("14").unwrap(), Money::parse("40").unwrap()]
        );
    }

    #[test]
    fn few_users_are_free_where_peaks_are_sold() {
        let few = Traffic {
            peak_users: 4_999,
            ..traffic()
        };
        let offers = few.voice_offers(&Book::built_in());
        let vivox = offers.iter().find(|offer| offer.provider == "vivox");
        assert_eq!(vivox.unwrap().month, Money::ZERO);
    }
}
