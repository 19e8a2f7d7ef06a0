//! Halls: each bucket of a region's shards has a world channel of its own ([`wire::hall`]), that of
//! bucket 0 is called as the region is. Whoever is on a shard reads the hall of the bucket that its
//! record was in when he joined.

use wire::fleet::ListedShard;
use wire::problem::ProblemKind;
use wire::{Hall, RegionName};

use super::bucket::buckets;
use super::shard::listed;
use crate::Refusal;
use crate::store::Store;

/// The hall of those who are on a shard of a bucket.
pub(super) fn hall_of(region: &RegionName, bucket: u32) -> Hall {
    Hall {
        region: region.clone(),
        number: u8::try_from(bucket).unwrap_or(0),
    }
}

/// Refuses a hall that its region does not have. Hall 0 there is in every region, and costs no
/// read.
///
/// # Errors
/// `name-invalid`, `store-unavailable`.
pub async fn check_hall<S: Store>(store: &S, now_ms: u64, hall: &Hall) -> Result<(), Refusal> {
    if hall.number == 0 {
        return Ok(());
    }
    let halls = buckets(store, now_ms, &hall.region).await?.value.all();
    if halls.contains(&hall.number.into()) {
        return Ok(());
    }
    let region = &hall.region;
    let detail = match halls.end - 1 {
        0 => format!("Write in world~{region}: the region has no other hall."),
        last => format!(
            "Write in the hall that the reply to a join names: {region} has world~{region} and \
             world~{region}~1 to world~{region}~{last}."
        ),
    };
    Err(Refusal::new(ProblemKind::NameInvalid, detail))
}

/// The shards whose participants may read a hall, by id: those of its bucket, and for a day after
/// the region has grown also those that were in it until then. Whoever was there before reads that
/// hall until he joins again.
///
/// # Errors
/// `store-unavailable`.
pub async fn shards_of_hall<S: Store>(
    store: &S,
    now_ms: u64,
    hall: &Hall,
) -> Result<Vec<ListedShard>, Refusal> {
    let buckets = buckets(store, now_ms, &hall.region).await?.value;
    let told = buckets.told(hall.number.into(), now_ms);
    listed(store, now_ms, &hall.region, told).await
}
