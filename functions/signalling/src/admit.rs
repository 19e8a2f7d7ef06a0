//! Admission: what join and WHIP share, and what each replies.

use edge::directory::{self, Joinable, Placement};
use edge::http::{Call, Response};
use edge::policy::{Rights, VoiceRight, WorldRight};
use edge::ports::{Clock, Entropy, RelayInquiry, Timer, Variables};
use edge::relays::Inquiry;
use edge::sanctions::{Sanction, Sanctions};
use edge::store::Store;
use edge::{Metered, Refusal, blocks, both, config};
use wire::chat::{ChatChannel, PARTY_CHANNEL, WORLD_ROOM};
use wire::claims::Claims;
use wire::hello::{ChannelGrant, Hello};
use wire::join::{DEFAULT_CHANNEL, JoinReply, JoinRequest};
use wire::keys::{AdmissionSecret, PlayerSecret};
use wire::limits::{MAX_CHANNELS, TICKET_LIFETIME_S};
use wire::problem::ProblemKind;
use wire::routes::{JOIN, JSON, SDP, WHIP};
use wire::ticket::{ChannelKind, Permissions, TICKET_VERSION, Ticket, ice_password};
use wire::{ChannelKey, ChannelName, RegionName, RoomKey, RoomName};
use wire::{SessionId, SessionRef, ShardId};

use crate::answer::{self, Admission};
use crate::authenticate;
use crate::offer::{self, Offer};

/// `POST /v1/rooms/{room}/sessions`.
pub(crate) async fn join<H, S>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal>
where
    H: Clock + Entropy + RelayInquiry + Timer + Variables,
    S: Store,
{
    let (claims, room) = authenticate(call)?;
    check_room(claims, &room)?;
    if call.request.content_type.is_some() && !call.request.has_content_type(JSON) {
        return Err(media_type(JSON));
    }
    let request: JoinRequest = wire::json::read(&call.request.body)
        .map_err(|error| body_invalid(format!("The body is not a join request: {error}.")))?;
    let channels = channel_names(request.channels)?;
    let (_, rights) = call.caller()?.rights(host).await?;
    let grants = grants(claims, &room, channels, rights.voice)?;
    let offer = offer::read(&request.offer)?;
    let admitted = Admit {
        host,
        claims,
        rights,
        room,
        grants,
        offer,
        region: request.region,
        lost: request.lost,
        says_hello: true,
    };
    let (reply, location) = admitted.seal(store).await?;
    Ok(Response::json(JOIN.status, &reply)
        .with("location", location)
        .with("cache-control", "no-store"))
}

/// `POST /v1/rooms/{room}/whip` (RFC 9725).
pub(crate) async fn whip<H, S>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal>
where
    H: Clock + Entropy + RelayInquiry + Timer + Variables,
    S: Store,
{
    let (claims, room) = authenticate(call)?;
    check_room(claims, &room)?;
    if !call.request.has_content_type(SDP) {
        return Err(media_type(SDP));
    }
    let (_, rights) = call.caller()?.rights(host).await?;
    let grants = grants(claims, &room, channel_names(None)?, rights.voice)?;
    let grants = to_publish(grants, rights.voice)?;
    let text = std::str::from_utf8(&call.request.body)
        .map_err(|_| Refusal::new(ProblemKind::OfferInvalid, "Send the offer in UTF-8."))?;
    let offer = offer::read(text)?;
    let admitted = Admit {
        host,
        claims,
        rights,
        room,
        grants,
        offer,
        region: None,
        lost: None,
        says_hello: false,
    };
    let (reply, location) = admitted.seal(store).await?;
    Ok(Response::new(WHIP.status, SDP, reply.answer.into_bytes())
        .with("location", location)
        .with("cache-control", "no-store"))
}

fn body_invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(ProblemKind::BodyInvalid, detail)
}

fn media_type(wanted: &str) -> Refusal {
    let detail = format!("Send the body with the content type {wanted}.");
    Refusal::new(ProblemKind::MediaTypeUnsupported, detail)
}

fn check_room(claims: &Claims, room: &RoomName) -> Result<(), Refusal> {
    if claims.grants_room(room) {
        return Ok(());
    }
    let detail = format!("Get a token from the game that grants the room {room}.");
    Err(Refusal::new(ProblemKind::RoomNotGranted, detail))
}

fn channel_names(wanted: Option<Vec<ChannelName>>) -> Result<Vec<ChannelName>, Refusal> {
    let Some(channels) = wanted else {
        return Ok(vec![
            ChannelName::new(DEFAULT_CHANNEL).expect("the default is a name"),
        ]);
    };
    if channels.is_empty() || channels.len() > MAX_CHANNELS {
        return Err(body_invalid(format!(
            "Name 1 to {MAX_CHANNELS} channels, or leave them out."
        )));
    }
    let twice = channels
        .iter()
        .enumerate()
        .any(|(at, name)| channels[..at].contains(name));
    if twice {
        return Err(body_invalid("Name each channel once."));
    }
    Ok(channels)
}

/// What token and policy allow in each channel; a channel in which that is nothing is refused.
fn grants(
    claims: &Claims,
    room: &RoomName,
    channels: Vec<ChannelName>,
    voice: VoiceRight,
) -> Result<Vec<ChannelGrant>, Refusal> {
    let left_out = |detail: &'static str| Refusal::new(ProblemKind::PolicyRefused, detail);
    if voice == VoiceRight::Off {
        return Err(left_out(
            "Voice is off for the player by the game's policy; only the game can change that.",
        ));
    }
    let grant = |channel: ChannelName| {
        let permissions = claims.permissions(room, &channel);
        if permissions == Permissions::default() {
            let detail = format!(
                "Get a token from the game that grants the channel {channel}, or do not ask for it."
            );
            return Err(Refusal::new(ProblemKind::ChannelNotGranted, detail));
        }
        let permissions = match voice {
            VoiceRight::Speak => permissions,
            _ => permissions.without(Permissions::SPEAK),
        };
        if permissions == Permissions::default() {
            let detail = "The player may listen and not speak; get a token that lets him listen.";
            return Err(left_out(detail));
        }
        Ok(ChannelGrant {
            channel,
            permissions: permissions.0,
        })
    };
    channels.into_iter().map(grant).collect()
}

/// The same without hearing anybody: a WHIP client says no hello, so that the others of its room
/// would have a listener whose name they cannot see.
fn to_publish(
    mut grants: Vec<ChannelGrant>,
    voice: VoiceRight,
) -> Result<Vec<ChannelGrant>, Refusal> {
    for grant in &mut grants {
        let permissions = Permissions(grant.permissions);
        if !permissions.contains(Permissions::SPEAK) {
            let (kind, who) = match voice {
                VoiceRight::Speak => (ProblemKind::ChannelNotGranted, "the token"),
                _ => (ProblemKind::PolicyRefused, "the game's policy"),
            };
            let channel = &grant.channel;
            let detail = format!(
                "Who publishes speaks, and {who} lets the player only listen in {channel}."
            );
            return Err(Refusal::new(kind, detail));
        }
        grant.permissions = permissions.without(Permissions::LISTEN).0;
    }
    Ok(grants)
}

/// A checked request on its way to a relay.
struct Admit<'a, H> {
    host: &'a H,
    claims: &'a Claims,
    rights: Rights,
    room: RoomName,
    grants: Vec<ChannelGrant>,
    offer: Offer,
    region: Option<RegionName>,
    /// The relay that he has just lost.
    lost: Option<ShardId>,
    /// A WHIP client has no data channel, and so nobody to whom a hello could be said.
    says_hello: bool,
}

/// What an admission is sealed with.
struct Secrets {
    admission: AdmissionSecret,
    players: PlayerSecret,
}

impl<H: Clock + Entropy + RelayInquiry + Timer + Variables> Admit<'_, H> {
    /// Finds the room's relay and seals what it must know. Returns the reply and the session's
    /// address.
    async fn seal<S: Store>(self, store: &Metered<'_, S>) -> Result<(JoinReply, String), Refusal> {
        let secrets = Secrets {
            admission: config::admission_secret(self.host).await?,
            players: config::player_secret(self.host).await?,
        };
        let now_ms = self.host.now_ms();
        let home = self.find_home(store, now_ms);
        let blocked = blocks::newest(store, now_ms, self.claims);
        let (home, blocked) = both(home, blocked).await;
        // Whether his token counts, before anything that he could learn by it.
        let blocked = blocked?;
        let Joinable {
            placement,
            sanctions,
        } = home?;
        self.check_ban(now_ms, &sanctions)?;
        let mut session = SessionId([0; 8]);
        self.host.fill(&mut session.0);
        let expires_at = now_ms / 1000 + TICKET_LIFETIME_S;
        let reads_world = self.reads_world(&placement);
        let topics = match reads_world {
            true => vec![placement.hall.topic()],
            false => Vec::new(),
        };
        let epoch = placement.shard.heartbeat.epoch;
        let hello = Hello {
            session,
            player: self.claims.sub.clone(),
            name: self.display_name(),
            room: self.room.clone(),
            channels: self.grants.clone(),
            world: reads_world && placement.shard.heartbeat.ticket_version < 2,
            topics,
            until_ms: Some(self.claims.exp.saturating_mul(1000)),
            party: Some(self.reads_party()),
            muted_until_ms: sanctions.until_ms(now_ms, Sanction::Mute, &self.claims.sub),
            blocked: blocked
                .iter()
                .map(|other| secrets.players.player_key(other, epoch))
                .collect(),
            platform: self.rights.platform.name().to_owned(),
            one_platform: !self.rights.cross_play,
            issued_at_ms: now_ms,
        };
        let (answer, hello) = self.answer(&secrets, &placement, expires_at, &hello);
        let shard = placement.home.shard;
        let session = SessionRef {
            shard: shard.clone(),
            session,
        };
        let location = format!("/v1/rooms/{}/sessions/{session}", self.room);
        let region = placement.home.region;
        let world = reads_world.then_some(ChatChannel::World(placement.hall));
        let reply = JoinReply {
            session,
            answer,
            hello,
            region,
            relay: shard,
            world,
            expires_at,
        };
        Ok((reply, location))
    }

    async fn find_home<S: Store>(
        &self,
        store: &Metered<'_, S>,
        now_ms: u64,
    ) -> Result<Joinable, Refusal> {
        let wanted = match &self.region {
            Some(region) => region.clone(),
            None => config::region(self.host).await?,
        };
        let evidence = Inquiry {
            host: self.host,
            lost: self.lost.as_ref(),
        };
        directory::home_of(self.host, store, now_ms, &self.room, &wanted, &evidence).await
    }

    fn check_ban(&self, now_ms: u64, sanctions: &Sanctions) -> Result<(), Refusal> {
        let player = &self.claims.sub;
        let Some(until_ms) = sanctions.until_ms(now_ms, Sanction::Ban, player) else {
            return Ok(());
        };
        let left_s = until_ms.saturating_sub(now_ms).div_ceil(1000);
        let detail = format!("Join another room, or this one in {left_s} seconds.");
        Err(Refusal::new(ProblemKind::Banned, detail).retry_after(left_s))
    }

    /// The player's name, or his id where the token has none.
    fn display_name(&self) -> String {
        let name = self.claims.name.clone().filter(|name| !name.is_empty());
        name.unwrap_or_else(|| self.claims.sub.to_string())
    }

    /// Whether the relay may hand the world channel of its region to the player.
    fn reads_world(&self, placement: &Placement) -> bool {
        let region = placement.home.region.as_str();
        let granted = self.claims.permissions_in(WORLD_ROOM, region);
        granted != Permissions::default() && self.rights.world != WorldRight::Off
    }

    /// Whether the relay may hand him what is written in the room's party channel.
    fn reads_party(&self) -> bool {
        let granted = self
            .claims
            .permissions_in(self.room.as_str(), PARTY_CHANNEL);
        granted != Permissions::default()
    }

    fn answer(
        &self,
        secrets: &Secrets,
        placement: &Placement,
        expires_at: u64,
        hello: &Hello,
    ) -> (String, String) {
        let (heartbeat, session) = (&placement.shard.heartbeat, hello.session);
        let keys = secrets.admission.keys(&heartbeat.shard, heartbeat.epoch);
        let first = &self.grants[0];
        let ticket = Ticket {
            expires_at: u32::try_from(expires_at).unwrap_or(u32::MAX),
            session,
            player: secrets
                .players
                .player_key(&self.claims.sub, heartbeat.epoch),
            fingerprint: self.offer.fingerprint_prefix(),
            room: RoomKey::of(&self.room),
            channel: ChannelKey::of(&self.room, &first.channel),
            permissions: Permissions(first.permissions),
            opus_payload_type: self.offer.opus_payload_type,
            red_payload_type: self.offer.red.map_or(0, |red| red.payload_type),
            audio_level_id: self.offer.audio_level_id.unwrap_or(0),
            slots: self.offer.slots,
            channel_kind: ChannelKind::Group,
            server_muted: hello.muted_until_ms.is_some(),
            says_hello: self.says_hello,
            recorded: false,
            home_epoch: placement.home.epoch as u8,
            hello_version: TICKET_VERSION,
        };
        let ufrag = ticket.seal(heartbeat.ticket_version, &keys, heartbeat.boot);
        let admission = Admission {
            session,
            ufrag: &ufrag,
            password: &ice_password(&keys, &ufrag),
            fingerprint: &heartbeat.fingerprint,
            candidates: &heartbeat.candidates,
        };
        (
            answer::write(&self.offer, &admission),
            hello.seal(&keys, heartbeat.boot),
        )
    }
}
