//! The scenarios: each is a story told over HTTP alone, with rooms, players and regions of its own,
//! so that they may run in any order and at once.

mod chat;
mod enrolment;
mod matches;
mod neighbours;
mod rates;
mod refusals;
mod rooms;
mod sanctions;
mod world;

use std::pin::Pin;

use anyhow::Result;

use crate::target::Target;

type Run = for<'a> fn(&'a Target) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// One scenario.
pub struct Scenario {
    /// What is true when it passes.
    pub name: &'static str,
    /// Tells the story; an error says what was different.
    pub run: Run,
}

impl Scenario {
    /// Whether it can be told on the host of this name. Lambda's emulator has one instance for each
    /// function, so that many requests at once show how it queues and nothing of ours.
    pub fn fits(&self, host: &str) -> bool {
        host != "lambda" || !self.name.contains("succeed while")
    }
}

macro_rules! scenarios {
    ($($module:ident::$function:ident = $name:literal;)*) => {
        /// Every scenario.
        pub const SCENARIOS: &[Scenario] = &[$(Scenario {
            name: $name,
            run: |target| Box::pin($module::$function(target)),
        },)*];
    };
}

scenarios! {
    rooms::a_shard_is_listed = "a shard that beats is listed, with what it said";
    rooms::forged_heartbeats = "a heartbeat with a wrong signature is refused";
    enrolment::by_token = "a relay enrols by a token, once, and beats with the key that it got";
    enrolment::by_identity = "a relay enrols by its role on AWS, and its proof counts once, here";
    enrolment::refused = "a relay that proves nothing, or too little, stays outside";
    rooms::join_and_leave = "a join is answered; leaving tells the relay";
    rooms::whip = "a WHIP client publishes and leaves by the location";
    rooms::joins_converge = "joins at the same time meet on one shard";
    rooms::a_drained_shard = "a room leaves a shard that drains";
    rooms::a_lost_shard = "a room leaves a shard that was lost and is silent, which hears of it";
    rooms::no_relay = "without a live relay a join says so";
    sanctions::act = "a mute and a ban act at once and at the next join";
    refusals::tokens = "a token that is missing, forged, expired or for others is refused";
    refusals::addresses = "addresses, methods and names that do not exist are refused";
    refusals::bodies = "bodies that are too large, of another type or malformed are refused";
    refusals::lists = "a list is no body of any route";
    refusals::roles = "players are neither operators nor privacy officers";
    refusals::preflights = "a browser's preflight is answered";
    chat::a_conversation = "messages are numbered, edited, deleted and read";
    chat::a_retry = "a post that is sent twice is one message";
    chat::many_authors = "many authors at once leave no gap and no number twice";
    chat::waits = "who waits for a message has it, at the pace that the host says";
    chat::pushed = "a message in a room reaches its relay";
    chat::reactions = "reactions are counted per player";
    chat::unread = "read markers count what is unread";
    chat::moderation = "a lock and a mute hold, and are in the audit trail";
    chat::reports = "a report shows the message to moderators";
    chat::blocks = "blocked players cannot write to each other";
    chat::presence = "presence is what players say";
    neighbours::polls = "joins and heartbeats succeed while one player polls without end";
    neighbours::crowd = "joins and heartbeats succeed while a crowd polls at its pace";
    neighbours::every_route = "joins and heartbeats succeed while one player fills any other route";
    rates::of_a_token = "a token that joins without end is told when it may again";
    matches::two_meet = "two who queue meet in one match";
    matches::who_leaves = "a ticket is its player's, who may give it up";
    world::is_one_hall = "the world channel is its region's, and a hall that is none is refused";
    chat::data_of_a_player = "a player's data is exported and erased";
}
