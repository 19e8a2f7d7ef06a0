//! What players may do, by age, persona and platform: one table as data, `policy.json`, explained
//! to its authors in `POLICY.md`.

use std::fmt;

use serde::{Deserialize, Serialize};
use wire::chat::MAX_TEXT_CHARS;
use wire::claims::{Age, Persona, Platform, Profile};

/// The table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    default: Default,
    rules: Vec<Rule>,
    /// Days that messages are kept, by kind of channel.
    pub retention_days: RetentionDays,
    /// Days that the audit trail is kept.
    pub audit_days: u32,
    /// Days that reports are kept.
    pub report_days: u32,
    /// Locales whose word lists count.
    pub filter_locales: Vec<String>,
    /// Words besides the lists.
    #[serde(default)]
    pub extra_words: Vec<String>,
}

/// Days that messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionDays {
    /// In channels of rooms.
    pub room: u32,
    /// In parties.
    pub party: u32,
    /// Between two players.
    pub direct: u32,
    /// In world channels.
    pub world: u32,
}

/// What is taken for what a token does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Default {
    age: Age,
    persona: Persona,
    platform: Platform,
    cross_play: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    when: When,
    set: Set,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, core::default::Default)]
#[serde(deny_unknown_fields)]
struct When {
    age: Option<Vec<Age>>,
    persona: Option<Vec<Persona>>,
    platform: Option<Vec<Platform>>,
    cross_play: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    voice: Option<VoiceRight>,
    text: Option<TextRight>,
    direct: Option<bool>,
    world: Option<WorldRight>,
    links: Option<bool>,
    attachments: Option<bool>,
    filter: Option<FilterAction>,
    max_chars: Option<u16>,
    burst: Option<u16>,
    per_minute: Option<u16>,
    ignore_slow_mode: Option<bool>,
}

/// What a player may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextRight {
    /// Nothing.
    Off,
    /// Phrases by id.
    Phrases,
    /// Phrases and text.
    Full,
}

/// What a player may do with voice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VoiceRight {
    /// Nothing: he joins no room.
    Off,
    /// Hear others.
    Listen,
    /// Hear others and be heard.
    Speak,
}

/// What a player may do in world channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorldRight {
    /// Nothing.
    Off,
    /// Read.
    Read,
    /// Read and write.
    Write,
}

/// What becomes of a text with a word of the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilterAction {
    /// Nothing.
    Off,
    /// Stars take the word's place.
    Mask,
    /// It is refused.
    Refuse,
}

/// What one player may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// Hear and be heard.
    pub voice: VoiceRight,
    /// Write.
    pub text: TextRight,
    /// Write and get direct messages.
    pub direct: bool,
    /// Use world channels.
    pub world: WorldRight,
    /// Send links.
    pub links: bool,
    /// Refer to attachments.
    pub attachments: bool,
    /// What the word filter does to his texts.
    pub filter: FilterAction,
    /// Longest text, in characters.
    pub max_chars: u16,
    /// Messages in one go.
    pub burst: u16,
    /// Messages per minute in the long run.
    pub per_minute: u16,
    /// Not bound by slow mode and locks, where he may moderate.
    pub ignore_slow_mode: bool,
    /// What he plays on.
    pub platform: Platform,
    /// Whether he talks with other platforms.
    pub cross_play: bool,
}

/// What is wrong with a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPolicy(String);

impl fmt::Display for BadPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a policy table ({})", self.0)
    }
}

impl std::error::Error for BadPolicy {}

impl Policy {
    /// The table that is compiled in.
    pub fn built_in() -> Self {
        Self::from_json(include_str!("../policy.json")).expect("a test reads the table")
    }

    /// Reads and checks a table.
    ///
    /// # Errors
    /// [`BadPolicy`] for an unknown name, a value out of range, or a first rule that leaves
    /// something open.
    pub fn from_json(text: &str) -> Result<Self, BadPolicy> {
        let policy: Self = serde_json::from_str(text).map_err(|fault| {
            BadPolicy(format!("line {}, column {}", fault.line(), fault.column()))
        })?;
        policy.check()?;
        Ok(policy)
    }

    fn check(&self) -> Result<(), BadPolicy> {
        let bad = |what: &str| Err(BadPolicy(what.to_owned()));
        let first = self.rules.first();
        if first.is_none_or(|rule| rule.when != When::default() || rule.set.complete().is_none()) {
            return bad("the first rule has no when and sets everything");
        }
        for set in self.rules.iter().map(|rule| &rule.set) {
            let chars = set.max_chars.unwrap_or(1);
            if chars == 0 || usize::from(chars) > MAX_TEXT_CHARS {
                return bad("max_chars is 1 to 2000");
            }
            let rates = [set.burst.unwrap_or(1), set.per_minute.unwrap_or(1)];
            if rates.iter().any(|rate| !(1..=1000).contains(rate)) {
                return bad("burst and per_minute are 1 to 1000");
            }
        }
        let kept = self.retention_days;
        let days = [
            kept.room,
            kept.party,
            kept.direct,
            kept.world,
            self.audit_days,
            self.report_days,
        ];
        if days.iter().any(|days| !(1..=3650).contains(days)) {
            return bad("days are 1 to 3650");
        }
        Ok(())
    }

    /// What the table allows a player of this profile.
    pub fn rights(&self, profile: &Profile) -> Rights {
        let who = Default {
            age: profile.age.unwrap_or(self.default.age),
            persona: profile.persona.unwrap_or(self.default.persona),
            platform: profile.platform.unwrap_or(self.default.platform),
            cross_play: profile.cross_play.unwrap_or(self.default.cross_play),
        };
        let mut rights = self.rules[0]
            .set
            .complete()
            .expect("checked when it was read");
        for rule in self.rules[1..].iter().filter(|rule| rule.when.names(&who)) {
            rule.set.apply(&mut rights);
        }
        rights.platform = who.platform;
        rights.cross_play = who.cross_play;
        rights
    }
}

impl When {
    fn names(&self, who: &Default) -> bool {
        self.age.as_ref().is_none_or(|ages| ages.contains(&who.age))
            && self
                .persona
                .as_ref()
                .is_none_or(|all| all.contains(&who.persona))
            && self
                .platform
                .as_ref()
                .is_none_or(|all| all.contains(&who.platform))
            && self.cross_play.is_none_or(|on| on == who.cross_play)
    }
}

impl Set {
    /// The rights when nothing is left open; platform and cross-play are the player's own.
    fn complete(&self) -> Option<Rights> {
        Some(Rights {
            // Tables from before there was this right allow it.
            voice: self.voice.unwrap_or(VoiceRight::Speak),
            text: self.text?,
            direct: self.direct?,
            world: self.world?,
            links: self.links?,
            attachments: self.attachments?,
            filter: self.filter?,
            max_chars: self.max_chars?,
            burst: self.burst?,
            per_minute: self.per_minute?,
            ignore_slow_mode: self.ignore_slow_mode?,
            platform: Platform::Pc,
            cross_play: true,
        })
    }

    fn apply(&self, rights: &mut Rights) {
        fn set<T: Copy>(right: &mut T, wanted: Option<T>) {
            *right = wanted.unwrap_or(*right);
        }
        set(&mut rights.voice, self.voice);
        set(&mut rights.text, self.text);
        set(&mut rights.direct, self.direct);
        set(&mut rights.world, self.world);
        set(&mut rights.links, self.links);
        set(&mut rights.attachments, self.attachments);
        set(&mut rights.filter, self.filter);
        set(&mut rights.max_chars, self.max_chars);
        set(&mut rights.burst, self.burst);
        set(&mut rights.per_minute, self.per_minute);
        set(&mut rights.ignore_slow_mode, self.ignore_slow_mode);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(age: Option<Age>, persona: Option<Persona>, platform: Option<Platform>) -> Profile {
        Profile {
            age,
            persona,
            platform,
            cross_play: None,
        }
    }

    #[test]
    fn the_built_in_table_protects_children_and_lets_adults_link() {
        let policy = Policy::built_in();
        let rights = |age| policy.rights(&profile(age, None, None));
        let child = rights(Some(Age::Child));
        assert!(!child.links && !child.direct && child.world == WorldRight::Off);
        assert_eq!(child.filter, FilterAction::Refuse);
        assert!(rights(Some(Age::Adult)).links);
        assert!(!rights(None).links, "an unknown age is not an adult");
    }

    #[test]
    fn the_last_rule_that_names_the_player_wins() {
        let policy = Policy::built_in();
        let support = profile(Some(Age::Child), Some(Persona::Support), Some(Platform::Vr));
        let rights = policy.rights(&support);
        assert!(rights.links, "the persona's rule stands below the age's");
        assert_eq!(rights.max_chars, 1000);
        assert!(!rights.attachments, "what no later rule sets stays");
        assert_eq!(rights.platform, Platform::Vr);
    }

    #[test]
    fn a_table_with_a_slip_is_refused_without_repeating_it() {
        let good = include_str!("../policy.json");
        for (from, to) in [
            ("\"links\"", "\"linsk\""),
            ("\"max_chars\": 500", "\"max_chars\": 5000"),
            ("\"burst\": 6", "\"burst\": 0"),
            ("\"world\": 1 ", "\"world\": 0 "),
            ("\"direct\": true, ", ""),
            ("[\"child\"]", "[\"baby\"]"),
        ] {
            let slip = good.replacen(from, to, 1);
            assert_ne!(slip, good, "{from} is in the table");
            let fault = Policy::from_json(&slip).unwrap_err().to_string();
            assert!(
                !fault.contains("linsk") && !fault.contains("baby"),
                "{fault}"
            );
        }
    }
}
