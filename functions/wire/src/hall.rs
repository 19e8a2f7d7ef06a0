//! Halls of a world channel: those of a region who read each other in it.

use std::fmt;
use std::str::FromStr;

use crate::ids::{BadId, RegionName, TopicKey};

/// What is wrong with a hall that is none.
const RULE: &str = "REGION, or REGION~HALL with a hall of 1 to 255";

/// A region's world channel, or one of several that it is divided into when the region is large:
/// one for each bucket of its shards, so that a message is told to a few dozen shards and not to
/// all. Hall 0 is called as the region is, and is the only one while the region is small.
///
/// A hall is `REGION` or `REGION~HALL`. No region has a `~` in its name, so none is called as a
/// hall of another is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hall {
    /// The region: grants, policy and mutes are its, and hold in all of its halls.
    pub region: RegionName,
    /// Which of its halls, 0 to 255.
    pub number: u8,
}

impl Hall {
    /// The one that is called as the region is.
    pub fn first(region: RegionName) -> Self {
        Self { region, number: 0 }
    }

    /// What those have subscribed to who read it. That of hall 0 is what relays take for their
    /// region's world channel.
    pub fn topic(&self) -> TopicKey {
        match self.number {
            0 => TopicKey::world(&self.region),
            number => TopicKey::hall(&self.region, number),
        }
    }
}

impl fmt::Display for Hall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            0 => self.region.fmt(f),
            number => write!(f, "{}~{number}", self.region),
        }
    }
}

impl FromStr for Hall {
    type Err = BadId;

    /// Each hall has one spelling: `eu~0`, `eu~07` and `eu~+7` are none.
    fn from_str(text: &str) -> Result<Self, BadId> {
        let Some((region, digits)) = text.split_once('~') else {
            return Ok(Self::first(text.parse()?));
        };
        let number: Option<u8> = digits.parse().ok();
        let number = number.filter(|number| *number > 0 && number.to_string() == digits);
        Ok(Self {
            region: region.parse()?,
            number: number.ok_or_else(|| BadId::new("hall", RULE))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn what_is_no_hall_is_refused() {
        for bad in [
            "", "~1", "eu~", "eu~0", "eu~07", "eu~+7", "eu~256", "eu~-1", "eu~7~7", "eu~x", "e u",
        ] {
            assert!(bad.parse::<Hall>().is_err(), "{bad}");
        }
    }

    #[test]
    fn halls_have_topics_of_their_own_and_the_first_has_the_regions() {
        let regions = ["eu", "eu.7", "eu7", "us"].map(|name| RegionName::new(name).unwrap());
        let halls = regions.iter().flat_map(|region| {
            (0..=255).map(|number| Hall {
                region: region.clone(),
                number,
            })
        });
        let topics: BTreeSet<_> = halls.map(|hall| hall.topic()).collect();
        assert_eq!(topics.len(), 4 * 256);
        let first = Hall::first(regions[0].clone());
        assert_eq!(first.topic(), TopicKey::world(&regions[0]));
        assert_eq!(first.to_string(), "eu");
    }

    proptest! {
        #[test]
        fn a_hall_round_trips(region in "[A-Za-z0-9_.-]{1,32}", number: u8) {
            let hall = Hall { region: region.parse().unwrap(), number };
            prop_assert_eq!(hall.to_string().parse::<Hall>().unwrap(), hall);
        }

        #[test]
        fn what_is_read_is_spelt_as_it_was(text in "[a-z0-9.~]{1,8}") {
            if let Ok(hall) = text.parse::<Hall>() {
                prop_assert_eq!(hall.to_string(), text);
            }
        }
    }
}
