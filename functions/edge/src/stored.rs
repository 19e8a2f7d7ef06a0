//! Which types items hold: [`stored!`](crate::stored!) names each, where it is defined, and those
//! of `wire` here.

use wire::chat::{AuditEntry, PresenceRequest};
use wire::fleet::Evacuation;
use wire::matching::Invitation;

/// Makes a type [`Stored`](crate::items::Stored), under a name, and has a test read its examples:
/// `stored/NAME.1.json` of the crate, a JSON array. A file stays as it is. Who changes the type
/// adds the next one, with everything that the type can now say; the test tells when that is due.
#[macro_export]
macro_rules! stored {
    ($form:ident: $type:ident) => {
        impl $crate::items::Stored for $type {
            const FORM: &'static str = stringify!($form);
        }

        #[cfg(test)]
        mod $form {
            #[test]
            fn what_earlier_releases_wrote_is_read_and_what_later_ones_write_is_kept() {
                let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/stored");
                $crate::testing::stored::check::<super::$type>(folder.as_ref());
            }
        }
    };
}

stored!(evacuation: Evacuation);
stored!(presence: PresenceRequest);
stored!(audit: AuditEntry);
stored!(invitation: Invitation);
