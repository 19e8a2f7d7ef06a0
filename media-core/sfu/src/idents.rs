//! Identifiers as the core sees them: opaque bytes that the shell got from a ticket.

use std::fmt;

macro_rules! key_type {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; $bytes]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}(", stringify!($name))?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str(")")
            }
        }
    };
}

key_type! {
    /// One admission of one player.
    SessionId, 8
}
key_type! {
    /// A room.
    RoomKey, 8
}
key_type! {
    /// A channel of a room.
    ChannelKey, 8
}
key_type! {
    /// What some participants have subscribed to; the core does not know what it is about.
    TopicKey, 8
}
key_type! {
    /// A player.
    PlayerKey, 16
}

/// What a session may do in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions {
    /// Be heard.
    pub speak: bool,
    /// Hear others.
    pub listen: bool,
}
