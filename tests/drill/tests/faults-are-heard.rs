//! A small drill on real processes: what a fault does is noticed, and what it does not do is not.

use std::time::Duration;

use drill::drills::Drills;
use drill::kind::Kind;
use drill::options::{drill_name, names};
use drill::party::Shape;
use drill::{Control, Local, Party, caller::Line};

const CALLERS: u16 = 6;
const OUTAGE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_is_missed_and_a_drain_and_outages_are_not() {
    let mut local = Local::start(100).await.unwrap();
    for relay in names(2).unwrap() {
        local.start_relay(&relay).await.unwrap();
    }
    let line = Line::new(local.edge().unwrap(), [127, 0, 0, 1].into()).unwrap();
    let shape = Shape {
        callers: CALLERS,
        room_size: 3,
        speakers: 2,
        notes: true,
        name: drill_name().unwrap(),
    };
    let party = Party::gather(line, shape).await.unwrap();
    let mut drills = Drills::new(party, Control::Local(Box::new(local)), 1, OUTAGE);
    drills.rest = Duration::from_millis(500);
    let kill = drills.run(Kind::Kill).await.unwrap();
    assert!(
        kill.again_s.len() >= 3,
        "a room at least was there: {kill:?}"
    );
    assert!(
        kill.again_s.iter().all(|again_s| *again_s > 1.0),
        "{kill:?}"
    );
    assert_eq!(kill.silent, 0, "{kill:?}");
    for kind in [Kind::Drain, Kind::EdgeRestart, Kind::StoreOutage] {
        let seen = drills.run(kind).await.unwrap();
        assert!(!seen.gaps_ms.is_empty(), "{kind:?}: {seen:?}");
        let all = (seen.lost, seen.silent, seen.moved);
        assert_eq!(all, (0, 0, 0), "{kind:?}: {seen:?}");
    }
    drills.party.leave().await;
}
