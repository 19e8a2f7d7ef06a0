//! What becomes of a connection that comes to a door.

/// What became of a connection. Also the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has shown who it is: handed to a shard, or kept for more messages of the edge.
    Taken,
    /// Ended for another: there were too many strangers.
    Busy,
    /// Ended for another of its source, of which there were too many.
    BusySource,
    /// It did not show in time who it is.
    Late,
    /// It was closed, or broke.
    Closed,
    /// What came was no framed binding request.
    NotStun,
    /// No shard of this relay has sealed its ticket.
    Ticket,
    /// The shard takes no more orders.
    Shard,
    /// It asked for something without a message that the edge has sealed.
    Unproved,
}

impl Outcome {
    /// Those of connections for media.
    pub(crate) const MEDIA: [Self; 8] = [
        Self::Taken,
        Self::Busy,
        Self::BusySource,
        Self::Late,
        Self::Closed,
        Self::NotStun,
        Self::Ticket,
        Self::Shard,
    ];

    /// Those of connections of the edge.
    pub(crate) const CONTROL: [Self; 6] = [
        Self::Taken,
        Self::Busy,
        Self::BusySource,
        Self::Late,
        Self::Closed,
        Self::Unproved,
    ];

    /// How many there are.
    pub(crate) const COUNT: usize = Self::Unproved as usize + 1;

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Busy => "busy",
            Self::BusySource => "busy-source",
            Self::Late => "late",
            Self::Closed => "closed",
            Self::NotStun => "not-stun",
            Self::Ticket => "ticket",
            Self::Shard => "shard",
            Self::Unproved => "unproved",
        }
    }
}
