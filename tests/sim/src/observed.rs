//! The relay's own protocol, with an ear at the place where the relay reads: the model learns of a
//! mute at the instant at which the relay does. It can also lie, to prove that lies are seen.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use relay::{Profile, SealedProtocol};
use sfu::{
    Admission, BadMessage, BadTicket, DataChannel, Hello, Notice, Protocol, Request, SessionId,
    SlotChange,
};

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sabotage {
    /// Nothing.
    #[default]
    None,
    /// The relay grants every channel of the room to everybody.
    WrongChannel,
    /// The relay does not hear a mute.
    DeafToMute,
    /// The relay does not hear a deafen.
    DeafToDeafen,
    /// Clients are told of another slot than the one in use.
    WrongSlot,
    /// Clients are not told who left.
    StaleRoster,
    /// Clients are not told who stopped talking.
    StaleSpeaking,
    /// Clients are not asked to migrate.
    SilentDrain,
    /// The relay does not hear a leave.
    DeafToLeave,
    /// The network claims to be calm and lets no voice through.
    NoVoice,
    /// The relay sends a voice packet twice.
    SendTwice,
    /// Nobody sees that the relay takes a hello.
    UnseenHello,
    /// The relay waits for a hello without end.
    EndlessPatience,
    /// The relay passes on whatever a speaker sends.
    NoSpeakerLimit,
    /// The relay sends as much as it likes to where nobody has answered.
    NoUnprovedLimit,
    /// The relay takes clients for gone who were there a moment ago.
    ShortConsent,
    /// A client has another address, and the world does not know.
    UnseenMove,
}

/// What the relay read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    Hello,
    State { muted: bool, deafened: bool },
    Leave,
}

/// Messages in the order in which the relay read them.
pub(crate) type Log = Rc<RefCell<Vec<(SessionId, Read)>>>;

pub(crate) struct Observed {
    pub(crate) sealed: SealedProtocol,
    pub(crate) log: Log,
    pub(crate) sabotage: Sabotage,
}

impl Observed {
    fn tamper(&self, request: &mut Request<Arc<Profile>>) {
        match (self.sabotage, request) {
            (Sabotage::WrongChannel, Request::Hello(Hello { channels, .. })) => {
                for grant in channels {
                    grant.channel = sfu::ChannelKey([7; 8]);
                    (grant.permissions.speak, grant.permissions.listen) = (true, true);
                }
            }
            (Sabotage::DeafToMute, Request::State { muted, .. }) => *muted = false,
            (Sabotage::DeafToDeafen, Request::State { deafened, .. }) => *deafened = false,
            (Sabotage::DeafToLeave, request @ Request::Leave) => *request = Request::Unknown,
            _ => {}
        }
    }
}

impl Protocol for Observed {
    type Profile = Arc<Profile>;

    fn open(&self, ufrag: &str) -> Result<Admission, BadTicket> {
        self.sealed.open(ufrag)
    }

    fn read(
        &self,
        session: SessionId,
        message: &[u8],
    ) -> Result<Request<Arc<Profile>>, BadMessage> {
        let mut request = self.sealed.read(session, message)?;
        let read = match &request {
            Request::Hello(_) => (self.sabotage != Sabotage::UnseenHello).then_some(Read::Hello),
            Request::State { muted, deafened } => Some(Read::State {
                muted: *muted,
                deafened: *deafened,
            }),
            Request::Leave => Some(Read::Leave),
            Request::Ping { .. } | Request::Unknown => None,
        };
        self.log
            .borrow_mut()
            .extend(read.map(|read| (session, read)));
        self.tamper(&mut request);
        Ok(request)
    }

    fn data_channel(&self, label: &str) -> Option<DataChannel> {
        self.sealed.data_channel(label)
    }

    fn write(&self, notice: &Notice<'_, Arc<Profile>>) -> Vec<u8> {
        match (self.sabotage, notice) {
            (Sabotage::WrongSlot, Notice::Slots { profile, changes }) => {
                let wrong = changes.iter().map(|change| SlotChange {
                    slot: change.slot ^ 1,
                    ..*change
                });
                let changes = &wrong.collect::<Vec<_>>();
                self.sealed.write(&Notice::Slots { profile, changes })
            }
            (Sabotage::StaleRoster, Notice::Roster { left, .. }) if !left.is_empty() => {
                self.sealed.write(&Notice::Roster {
                    joined: Vec::new(),
                    left: &[],
                    changed: Vec::new(),
                    count: None,
                })
            }
            (Sabotage::StaleSpeaking, Notice::Speaking { started, .. }) => {
                self.sealed.write(&Notice::Speaking {
                    started,
                    stopped: &[],
                })
            }
            (Sabotage::SilentDrain, Notice::Migrate) => self.sealed.write(&Notice::Pong { id: 0 }),
            _ => self.sealed.write(notice),
        }
    }
}
