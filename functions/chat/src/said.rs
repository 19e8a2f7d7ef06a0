//! Who wrote what is pushed, and from whom it is kept: by the same rule as [`crate::history`]
//! shows it.

use chat_channel::access::Access;
use chat_channel::log::Stored;
use edge::relays::Secrets;
use wire::PlayerId;
use wire::claims::Platform;
use wire::control::PushAuthor;

/// Who is the author of something.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// None of what nobody wrote.
    pub(crate) player: Option<PlayerId>,
    /// What he wrote it on.
    platform: Option<Platform>,
    /// For players of his own platform alone.
    one_platform: bool,
}

/// Something said: by whom, and whom he blocks.
#[derive(Debug)]
pub(crate) struct Said {
    source: Source,
    pub(crate) blocked: Vec<PlayerId>,
    /// When that was read, Unix milliseconds.
    blocked_at_ms: u64,
}

impl Source {
    /// The caller.
    pub(crate) fn caller(access: &Access<'_>) -> Self {
        Self {
            player: Some(access.me().clone()),
            platform: Some(access.rights.platform),
            one_platform: !access.rights.cross_play,
        }
    }

    /// Of a message, also for what is said of it.
    pub(crate) fn of(stored: &Stored) -> Self {
        Self {
            player: stored.message.author.clone(),
            platform: stored.message.platform,
            one_platform: stored.one_platform,
        }
    }

    /// The same by one who blocks these, as of then.
    pub(crate) fn who_blocks(self, blocked: Vec<PlayerId>, blocked_at_ms: u64) -> Said {
        Said {
            source: self,
            blocked,
            blocked_at_ms,
        }
    }
}

impl Said {
    /// As a shard with keys of an epoch is told; none of what nobody wrote.
    pub(crate) fn author(&self, secrets: &Secrets, epoch: u8) -> Option<PushAuthor> {
        let key = |player| secrets.player_key(player, epoch);
        let platform = self.source.platform.map(Platform::name);
        Some(PushAuthor {
            player: key(self.source.player.as_ref()?),
            platform: platform.unwrap_or_default().to_owned(),
            one_platform: self.source.one_platform,
            blocked: self.blocked.iter().map(key).collect(),
            blocked_at_ms: self.blocked_at_ms,
        })
    }
}
