//! What rooms used is told once: the records of the shard, all together, are what its core counted.

use std::time::Instant;

use sfu::{Protocol, Sfu, Usage, UsageRecord};

/// The records so far.
#[derive(Default)]
pub(crate) struct Used {
    sum: Usage,
    last: u64,
}

impl Used {
    /// The shard made a record.
    pub(crate) fn handle_record(&mut self, record: UsageRecord) -> Result<(), String> {
        self.last += 1;
        if record.sequence != self.last {
            let (was, wanted) = (record.sequence, self.last);
            return Err(format!("record {was} of usage came where {wanted} was due"));
        }
        if record.usage.is_nothing() {
            return Err("a record of usage says that nothing was used".to_owned());
        }
        self.sum += record.usage;
        Ok(())
    }

    /// Records never say more than was counted.
    pub(crate) fn check<P: Protocol>(&self, now: Instant, sfu: &Sfu<P>) -> Result<(), String> {
        let (told, counted) = (&self.sum, sfu.usage(now));
        let is_more = told.participant_time > counted.participant_time
            || told.talk_time > counted.talk_time
            || told.bytes_in > counted.bytes_in
            || told.bytes_out > counted.bytes_out;
        match is_more {
            true => Err(format!("usage was told as {told:?}, of {counted:?}")),
            false => Ok(()),
        }
    }

    /// With nobody left they say all of it.
    pub(crate) fn check_empty<P: Protocol>(
        &self,
        now: Instant,
        sfu: &Sfu<P>,
    ) -> Result<(), String> {
        let (told, counted) = (&self.sum, sfu.usage(now));
        match *told == counted {
            true => Ok(()),
            false => Err(format!("usage was told as {told:?}, and is {counted:?}")),
        }
    }
}
