// The chat routes of the edge: a call for each.

/** @import { Draft } from "./chat-outbox.js" */
/** @import { ChannelSettings, HistoryPage, Message } from "./chat-messages.js" */

import { Api, badReply } from "./api.js";
import { readHistory, readMessage } from "./chat-messages.js";
import { isId, isObject, listIn, listOf } from "./check.js";

/** @typedef {{ channel: string, last: number, read: number, unread: number }} ChannelUnread */

export class ChatApi extends Api {
  /**
   * @param {string} channel
   * @param {{ after?: number, before?: number, limit?: number, wait?: number }} query
   * @param {AbortSignal} signal
   * @returns {Promise<HistoryPage>}
   */
  async history(channel, query, signal) {
    const page = readHistory(await this.call("GET", messagesPath(channel), { query, signal }));
    if (!page) throw badReply();
    return page;
  }

  /**
   * One attempt; the outbox repeats it with the same key.
   *
   * @param {string} channel
   * @param {string} key
   * @param {Draft} draft
   * @param {string | null} tail
   * @param {AbortSignal} signal
   */
  async post(channel, key, draft, tail, signal) {
    const { text, phrase, notice, replyTo: reply_to, mentions, attachments } = draft;
    const body = { key, text, phrase, notice, reply_to, mentions, attachments };
    const options = { body: { ...body, tail: tail ?? undefined }, signal };
    return replyOf(await this.call("POST", messagesPath(channel), options));
  }

  /**
   * @param {string} channel
   * @param {number} seq
   * @param {string} text
   * @param {number} version
   */
  async edit(channel, seq, text, version) {
    const body = { text, version };
    return replyOf(await this.repeat("PATCH", messagePath(channel, seq), { body })).message;
  }

  /**
   * @param {string} channel
   * @param {number} seq
   */
  async delete(channel, seq) {
    return replyOf(await this.repeat("DELETE", messagePath(channel, seq))).message;
  }

  /**
   * @param {string} channel
   * @param {number} seq
   * @param {string} reaction
   * @param {boolean} added
   */
  async react(channel, seq, reaction, added) {
    const path = `${messagePath(channel, seq)}/reactions/${encodeURIComponent(reaction)}`;
    await this.repeat(added ? "PUT" : "DELETE", path);
  }

  /**
   * @param {string} channel
   * @param {ChannelSettings} settings
   */
  async setSettings(channel, { locked, slowS }) {
    const body = { locked, slow_s: slowS };
    const reply = await this.repeat("PUT", `${channelPath(channel)}/settings`, { body });
    return replyOf(reply).message;
  }

  /**
   * @param {string[]} channels
   * @returns {Promise<ChannelUnread[]>}
   */
  async unread(channels) {
    const query = { in: channels.join(",") };
    const reply = await this.repeat("GET", "/v1/chat/unread", { query });
    return listOf(listIn(reply, "channels"), readUnread) ?? [];
  }

  /**
   * @param {string} channel
   * @param {number} seq
   */
  async markRead(channel, seq) {
    await this.repeat("PUT", `${channelPath(channel)}/read`, { body: { seq } });
  }

  /**
   * One attempt: nobody is harmed when this is lost.
   *
   * @param {string} channel
   */
  async tellTyping(channel) {
    await this.call("POST", `${channelPath(channel)}/typing`);
  }

  /**
   * @param {string} channel
   * @param {number} seq
   * @param {string} reason
   */
  async report(channel, seq, reason) {
    await this.repeat("POST", `${messagePath(channel, seq)}/report`, { body: { reason } });
  }

  /**
   * @param {string} channel
   * @param {string} player
   * @param {number} seconds
   * @param {string} reason
   */
  async mute(channel, player, seconds, reason) {
    await this.repeat("PUT", mutePath(channel, player), { body: { seconds, reason } });
  }

  /**
   * @param {string} channel
   * @param {string} player
   */
  async unmute(channel, player) {
    await this.repeat("DELETE", mutePath(channel, player));
  }

  /** @param {string} channel */
  async audit(channel) {
    return listIn(await this.repeat("GET", `${channelPath(channel)}/audit`), "entries");
  }

  /** @param {string} channel */
  async reports(channel) {
    return listIn(await this.repeat("GET", `${channelPath(channel)}/reports`), "reports");
  }
}

/** @param {string} channel */
function channelPath(channel) {
  return `/v1/chat/channels/${encodeURIComponent(channel)}`;
}

/** @param {string} channel */
function messagesPath(channel) {
  return `${channelPath(channel)}/messages`;
}

/**
 * @param {string} channel
 * @param {number} seq
 */
function messagePath(channel, seq) {
  return `${messagesPath(channel)}/${seq}`;
}

/**
 * @param {string} channel
 * @param {string} player
 */
function mutePath(channel, player) {
  return `${channelPath(channel)}/mutes/${encodeURIComponent(player)}`;
}

/**
 * @param {unknown} value
 * @returns {ChannelUnread | null}
 */
function readUnread(value) {
  if (!isObject(value) || typeof value.channel !== "string") return null;
  const { channel, last, read, unread } = value;
  return isId(last) && isId(read) && isId(unread) ? { channel, last, read, unread } : null;
}

/**
 * @param {unknown} value
 * @returns {{ message: Message, tail: string | null }}
 */
function replyOf(value) {
  const message = isObject(value) ? readMessage(value.message) : null;
  if (!isObject(value) || !message) throw badReply();
  return { message, tail: typeof value.tail === "string" ? value.tail : null };
}
