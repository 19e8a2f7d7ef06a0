//! What a proof allows, against what is asked.

use edge::Refusal;
use wire::enrolment::{Enrolment, EnrolmentRequest, ProofKind};
use wire::problem::ProblemKind;
use wire::{RegionName, ShardId};

/// What a proof allows.
pub(super) struct Admission {
    /// Name of the relay.
    pub(super) relay: ShardId,
    pub(super) region: RegionName,
    /// Most participants of all its shards together.
    pub(super) capacity: u64,
    pub(super) by: ProofKind,
}

impl Admission {
    /// Whether it is for what is asked.
    pub(super) fn check(&self, request: &EnrolmentRequest) -> Result<(), Refusal> {
        let refused = |detail: String| Err(Refusal::new(ProblemKind::EnrolmentRefused, detail));
        if request.region.as_ref().is_some_and(|r| *r != self.region) {
            let allowed = &self.region;
            return refused(format!("The proof is for a relay in the region {allowed}."));
        }
        let asked = u64::from(request.shards) * u64::from(request.capacity);
        if asked > self.capacity {
            let allowed = self.capacity;
            return refused(format!(
                "The proof is for a relay of {allowed} participants, and its shards have {asked} \
                 together; start it with fewer, --max-participants times --shards."
            ));
        }
        Ok(())
    }

    /// The relay as it joins.
    pub(super) fn enrolment(
        &self,
        request: &EnrolmentRequest,
        epoch: u8,
        now_ms: u64,
    ) -> Enrolment {
        Enrolment {
            relay: self.relay.clone(),
            region: self.region.clone(),
            shards: request.shards,
            capacity: request.capacity,
            epoch,
            by: self.by,
            enrolled_at_ms: now_ms,
        }
    }
}
