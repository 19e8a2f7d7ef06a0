//! Why a connection or an attempt failed, and whether another attempt can help; as
//! `functions/web/sdk/problem.js`.

use std::time::Duration;

use wire::channel::EndReason;

/// Statuses of HTTP that the same request may survive a moment later.
const PASSING_STATUS: [u16; 4] = [408, 409, 425, 429];
/// Refusals of the edge that no repetition heals, whatever their status.
const FINAL_PROBLEMS: [&str; 1] = ["match-not-running"];

/// The edge's refusal of a join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Status of HTTP.
    pub status: u16,
    /// The last segment of the problem's `type`; empty when the reply was no problem of ours.
    pub problem: String,
    /// What the header `Retry-After` asked for.
    pub retry_after: Option<Duration>,
}

/// Why a connection or an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The edge was not reached, or did not reply in time.
    Network,
    /// The edge refused the join.
    Refused(Refusal),
    /// The edge's answer is none that one can connect with.
    BadReply,
    /// The edge answered, and the relay did not, or let nobody in.
    RelayUnreachable,
    /// A connection that had been good broke.
    ConnectionLost,
    /// A moderator or the game removed the player.
    Kicked,
    /// The same player joined the room elsewhere.
    Replaced,
    /// This side left.
    Left,
}

/// Whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// What was refused stays refused.
    Stop,
    /// An edge or relay that is out of reach comes back.
    Retry,
}

impl Cause {
    /// A short stable name, also the label of a metric: the edge's name of a problem, or one of
    /// the SDK's.
    pub fn label(&self) -> &str {
        match self {
            Self::Network => "network",
            Self::Refused(refusal) if refusal.problem.is_empty() => "refused",
            Self::Refused(refusal) => &refusal.problem,
            Self::BadReply => "bad-reply",
            Self::RelayUnreachable => "relay-unreachable",
            Self::ConnectionLost => "connection-lost",
            Self::Kicked => "kicked",
            Self::Replaced => "replaced",
            Self::Left => "left",
        }
    }

    /// Whether another attempt can help.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Network | Self::BadReply | Self::RelayUnreachable | Self::ConnectionLost => {
                Verdict::Retry
            }
            Self::Refused(refusal) => refusal.verdict(),
            Self::Kicked | Self::Replaced | Self::Left => Verdict::Stop,
        }
    }

    /// What the relay's last word means, said before or after the welcome.
    pub(crate) fn of_end(reason: EndReason, was_welcome: bool) -> Self {
        match reason {
            EndReason::Kicked => Self::Kicked,
            EndReason::Replaced => Self::Replaced,
            _ if was_welcome => Self::ConnectionLost,
            _ => Self::RelayUnreachable,
        }
    }
}

impl Refusal {
    fn verdict(&self) -> Verdict {
        let is_refused = (400..500).contains(&self.status);
        let is_final = FINAL_PROBLEMS.contains(&self.problem.as_str());
        if is_final || is_refused && !PASSING_STATUS.contains(&self.status) {
            Verdict::Stop
        } else {
            Verdict::Retry
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, problem: &str) -> Cause {
        Cause::Refused(Refusal {
            status,
            problem: problem.to_owned(),
            retry_after: None,
        })
    }

    #[test]
    fn what_is_refused_stays_refused_and_what_is_away_comes_back() {
        for cause in [
            refused(401, "token-expired"),
            refused(404, ""),
            refused(503, "match-not-running"),
            Cause::Kicked,
            Cause::Replaced,
            Cause::Left,
        ] {
            assert_eq!(cause.verdict(), Verdict::Stop, "{cause:?}");
        }
        for cause in [
            refused(408, ""),
            refused(409, "conflict"),
            refused(425, ""),
            refused(429, "rate-limited"),
            refused(503, "no-live-relay"),
            refused(302, ""),
            Cause::Network,
            Cause::BadReply,
            Cause::RelayUnreachable,
            Cause::ConnectionLost,
        ] {
            assert_eq!(cause.verdict(), Verdict::Retry, "{cause:?}");
        }
        assert_eq!(refused(401, "token-expired").label(), "token-expired");
    }

    #[test]
    fn only_a_kick_and_a_replacement_are_final_words_of_a_relay() {
        assert_eq!(Cause::of_end(EndReason::Kicked, true), Cause::Kicked);
        assert_eq!(Cause::of_end(EndReason::Replaced, false), Cause::Replaced);
        for reason in [
            EndReason::Left,
            EndReason::RelayStopping,
            EndReason::Protocol,
            EndReason::Timeout,
        ] {
            assert_eq!(Cause::of_end(reason, true), Cause::ConnectionLost);
            assert_eq!(Cause::of_end(reason, false), Cause::RelayUnreachable);
        }
    }
}
