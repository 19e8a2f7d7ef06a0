//! Moderation: settings of a channel, mutes, reports, and the audit trail.

use edge::Refusal;
use edge::change::{unless_lost, until_done};
use edge::http::Response;
use edge::items::{self, Held, Over, Stored};
use edge::store::{Direction, Key, Query, Store, StoreError};
use sha2::{Digest, Sha256};
use wire::PlayerId;
use wire::chat::{
    AuditAction, AuditEntry, AuditReply, ChannelSettings, Message, MuteRequest, Report,
    ReportRequest, ReportsReply, SystemEvent,
};
use wire::routes::{AUDIT, MUTE, REPORT, REPORTS, SET_SETTINGS};

use crate::Ports;
use crate::access::{Chat, Intent, Place, body_invalid};
use crate::change::existing;
use crate::log::{self, Draft};
use crate::post::empty;
use crate::text::check_reason;

/// Longest mute, in seconds.
const MAX_MUTE_S: u32 = 365 * 24 * 60 * 60;
/// Longest slow mode, in seconds.
const MAX_SLOW_S: u16 = 6 * 60 * 60;
/// Messages before and after a reported one that go with the report.
const AROUND: u64 = 5;
/// Entries of an audit reply.
const AUDIT_ENTRIES: usize = 100;
/// Reports of a reply.
const REPORT_ENTRIES: usize = 20;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// `PUT /v1/chat/channels/{channel}/settings`: a system message whose settings hold from it on.
pub(crate) async fn settings<H: Ports, S: Store>(
    chat: &Chat<'_, H, S>,
) -> Result<Response, Refusal> {
    let place = chat.place(Intent::Moderate)?;
    let settings: ChannelSettings = chat.body()?;
    if settings.slow_s > MAX_SLOW_S {
        return Err(body_invalid(format!("Set slow_s to at most {MAX_SLOW_S}.")));
    }
    let last = chat.last(&place.key).await?;
    if let Some(last) = last.filter(|last| last.settings == settings) {
        // They hold already: a retry, or two moderators of one mind.
        let message = last.message;
        return Ok(Response::json(
            SET_SETTINGS.status,
            &wire::chat::MessageReply {
                message,
                tail: None,
            },
        ));
    }
    chat.audit(&place, AuditAction::Settings, None, None, "")
        .await?;
    let draft = Draft {
        key: data_encoding::HEXLOWER.encode(&chat.nonce()),
        message: Message {
            system: Some(SystemEvent::Settings { settings }),
            ..empty()
        },
        settings: Some(settings),
    };
    let reply = chat.publish(&place, draft, None).await?;
    Ok(Response::json(SET_SETTINGS.status, &reply))
}

/// `PUT` and `DELETE /v1/chat/channels/{channel}/mutes/{player}`.
pub(crate) async fn mute<H: Ports, S: Store>(
    chat: &Chat<'_, H, S>,
    mutes: bool,
) -> Result<Response, Refusal> {
    let place = chat.place(Intent::Moderate)?;
    let player = chat.player(1)?;
    let (mut until_ms, mut reason) = (0, String::new());
    if mutes {
        let request: MuteRequest = chat.body()?;
        check_reason(&request.reason)?;
        if request.seconds == 0 || request.seconds > MAX_MUTE_S {
            return Err(body_invalid(format!("Mute for 1 to {MAX_MUTE_S} seconds.")));
        }
        until_ms = chat.now_ms + u64::from(request.seconds) * 1000;
        reason = request.reason;
    }
    let action = if mutes {
        AuditAction::Mute
    } else {
        AuditAction::Unmute
    };
    chat.audit(&place, action, Some(player.clone()), None, &reason)
        .await?;
    let muted = until_done(chat.host, || async {
        let mut held = chat.author_of(&place, &player).await?;
        held.value.muted_until_ms = until_ms;
        Ok(unless_lost(chat.keep_of(&place, &player, &mut held).await)?)
    });
    muted.await?;
    Ok(Response::empty(MUTE.status))
}

/// `POST /v1/chat/channels/{channel}/messages/{seq}/report`.
pub(crate) async fn report<H: Ports, S: Store>(chat: &Chat<'_, H, S>) -> Result<Response, Refusal> {
    let place = chat.place(Intent::Read)?;
    let seq = chat.seq()?;
    let request: ReportRequest = chat.body()?;
    check_reason(&request.reason)?;
    existing(chat.message(&place.key, seq).await?)?;
    let mut held = chat.author(&place).await?;
    chat.charge(&mut held.value)?;
    chat.keep(&place, &mut held).await?;
    let range = (seq.saturating_sub(AROUND), seq + AROUND);
    let limit = 2 * AROUND as usize + 1;
    let around = chat
        .messages(&place.key, range, limit, Direction::Forward)
        .await?;
    let report = Report {
        at_ms: chat.now_ms,
        reporter: chat.me().clone(),
        seq,
        reason: request.reason,
        messages: around
            .into_iter()
            .map(|stored: log::Stored| stored.message)
            .collect(),
    };
    let days = chat.policy.report_days;
    // One report of one player about one message: a retry replaces it.
    let tag = data_encoding::HEXLOWER.encode(&Sha256::digest(chat.me().as_str())[..8]);
    let sort = format!("{seq:016}#{tag}");
    chat.record(&reports_partition(&place.key), &sort, days, &report)
        .await?;
    Ok(Response::empty(REPORT.status))
}

/// `GET /v1/chat/channels/{channel}/audit`.
pub(crate) async fn audit<H: Ports, S: Store>(chat: &Chat<'_, H, S>) -> Result<Response, Refusal> {
    let place = chat.place(Intent::Moderate)?;
    let entries = chat
        .records(&audit_partition(&place.key), AUDIT_ENTRIES)
        .await?;
    Ok(Response::json(AUDIT.status, &AuditReply { entries }))
}

/// `GET /v1/chat/channels/{channel}/reports`.
pub(crate) async fn reports<H: Ports, S: Store>(
    chat: &Chat<'_, H, S>,
) -> Result<Response, Refusal> {
    let place = chat.place(Intent::Moderate)?;
    chat.audit(&place, AuditAction::ReadReports, None, None, "")
        .await?;
    let reports = chat
        .records(&reports_partition(&place.key), REPORT_ENTRIES)
        .await?;
    Ok(Response::json(REPORTS.status, &ReportsReply { reports }))
}

pub(crate) fn audit_partition(place: &str) -> String {
    format!("chat-audit#{place}")
}

fn reports_partition(place: &str) -> String {
    format!("chat-report#{place}")
}

impl<H: Ports, S: Store> Chat<'_, H, S> {
    /// Notes an act of moderation, before it is done: what is done is in the trail for certain.
    pub(crate) async fn audit(
        &self,
        place: &Place,
        action: AuditAction,
        player: Option<PlayerId>,
        seq: Option<u64>,
        reason: &str,
    ) -> Result<(), StoreError> {
        self.audit_in(&place.key, action, player, seq, reason).await
    }

    pub(crate) async fn audit_in(
        &self,
        place: &str,
        action: AuditAction,
        player: Option<PlayerId>,
        seq: Option<u64>,
        reason: &str,
    ) -> Result<(), StoreError> {
        let entry = AuditEntry {
            at_ms: self.now_ms,
            actor: self.me().clone(),
            action,
            player,
            seq,
            reason: reason.to_owned(),
        };
        let nonce = data_encoding::HEXLOWER.encode(&self.nonce());
        let sort = format!("{:016}#{nonce}", self.now_ms);
        let days = self.policy.audit_days;
        self.record(&audit_partition(place), &sort, days, &entry)
            .await
    }

    async fn record<T: Stored>(
        &self,
        partition: &str,
        sort: &str,
        days: u32,
        entry: &T,
    ) -> Result<(), StoreError> {
        let key = Key::new(partition, sort);
        let expires = Some(self.now_ms + u64::from(days) * DAY_MS);
        let over = Over::ANYTHING;
        items::put(self.store, self.now_ms, key, entry, expires, over).await?;
        Ok(())
    }

    async fn records<T: Stored>(
        &self,
        partition: &str,
        limit: usize,
    ) -> Result<Vec<T>, StoreError> {
        let query = Query {
            limit,
            direction: Direction::Backward,
            ..Query::all(partition, limit)
        };
        let items = self.store.query(self.now_ms, query).await?;
        let read = |item| Ok(Held::read(partition, item)?.value);
        items.iter().map(read).collect()
    }
}
