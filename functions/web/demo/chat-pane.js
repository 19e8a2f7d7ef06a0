// The chat beside the voice room: puts list, composer, menus and the SDK's channel together.

/** @import { Chat, ChatChannel, ChatMessage, Participant, VoiceRoom } from "/sdk/index.js" */

import { announce } from "./announcer.js";
import { ChatList } from "./chat-list.js";
import * as words from "./chat-words.js";
import { Composer } from "./composer.js";
import { byId, say } from "./dom.js";
import { faultWords } from "./faults.js";
import { theMenu } from "./menu.js";
import { Moderation } from "./moderation.js";

const REACTIONS = [
  ["👍", "thumbs up"],
  ["❤️", "heart"],
  ["😂", "laughing"],
  ["😮", "surprised"],
  ["🎉", "party"],
];
const MUTES = /** @type {const} */ ([
  ["10 minutes", 600],
  ["1 hour", 3600],
  ["1 day", 86_400],
]);
/** This near to its end, in pixels, the list follows new messages. */
const NEAR_END_PX = 60;
/** Names that are remembered, also of whom nothing is shown any more. */
const NAMES_MAX = 2000;
/** This near to its beginning older messages are fetched. */
const NEAR_START_PX = 300;

export class ChatPane {
  #pane = byId("chat");
  #scroll = byId("chat-scroll");
  #menu = theMenu();
  #languages = navigator.languages;
  #moderation = new Moderation(this.#languages);
  #list = new ChatList(
    {
      menu: (message, owner) => this.#openMenu(message, owner),
      react: (message, reaction) => this.#react(message, reaction),
      retry: (key) => this.#channel?.retry(key),
      discard: (key) => this.#channel?.discard(key),
      show: (seq) => this.#list.focus(seq),
    },
    this.#languages,
  );
  #composer = new Composer(
    {
      send: (text, replyTo) => this.#send(text, replyTo),
      edit: ({ seq }, text) => this.#try(() => this.#channel?.edit(seq ?? 0, text)),
      phrase: (id) => this.#sent(() => this.#channel?.sendPhrase(id)),
      type: () => this.#channel?.type(),
      lastOwn: () => this.#list.lastOwn(),
    },
    this.#menu,
    this.#languages,
  );
  #chat = /** @type {Chat | null} */ (null);
  #channel = /** @type {ChatChannel | null} */ (null);
  #channels = /** @type {ChatChannel[]} */ ([]);
  #choice = byId("chat-channel", HTMLSelectElement);
  #stops = /** @type {(() => void)[]} */ ([]);
  #people = /** @type {Participant[]} */ ([]);
  #names = /** @type {Map<string, string>} */ (new Map());
  #unreadAfter = /** @type {number | null} */ (null);
  #following = true;
  #onUnread;
  #onBlocks;

  /**
   * @param {(count: number) => void} onUnread
   * @param {() => void} onBlocks
   */
  constructor(onUnread, onBlocks) {
    this.#onUnread = onUnread;
    this.#onBlocks = onBlocks;
    this.#scroll.addEventListener("scroll", () => this.#handleScroll());
    byId("older").addEventListener("click", () => this.#loadOlder());
    byId("newest").addEventListener("click", () => this.#goToNewest());
    byId("chat-menu").addEventListener("click", () => this.#openChatMenu());
    this.#choice.addEventListener("change", () => {
      this.#use(this.#channels.find(({ name }) => name === this.#choice.value));
    });
    document.addEventListener("visibilitychange", () => this.#markRead());
    window.addEventListener("focus", () => this.#markRead());
    new ResizeObserver(() => this.#following && this.#toEnd()).observe(this.#scroll);
  }

  /**
   * @param {VoiceRoom} room
   * @param {{ chat: Chat, channels: ChatChannel[] }} opened the channels that can be shown
   */
  open(room, { chat, channels }) {
    this.close();
    this.#chat = chat;
    chat.attach(room);
    chat.on("blocks", () => {
      this.#showState();
      this.#onBlocks();
    });
    // Others see who is here; nothing depends on it.
    chat.setPresence("online").catch(() => {});
    this.#channels = channels;
    const names = channels.map(({ name }, n) => {
      return new Option(words.channelWords(name, n === 0), name);
    });
    this.#choice.replaceChildren(...names);
    this.#choice.hidden = channels.length < 2;
    this.#use(channels[0]);
  }

  /** Shows a channel in place of another. @param {ChatChannel | undefined} channel */
  #use(channel) {
    this.#leave();
    if (!channel) return;
    this.#channel = channel;
    this.#stops = [
      channel.on("messages", (messages) => this.#show(messages)),
      channel.on("state", () => this.#showState()),
      channel.on("settings", () => this.#showState()),
      channel.on("typing", () => this.#showTyping()),
      channel.on("unread", () => this.#showUnread()),
      channel.on("arrived", (messages) => announce(words.arrivalWords(messages, this.#languages))),
    ];
    this.#show(channel.messages);
    this.#showTyping();
    this.#showState();
  }

  /** Nothing is shown any more. */
  #leave() {
    for (const stop of this.#stops.splice(0)) stop();
    this.#channel = null;
    this.#unreadAfter = null;
    this.#following = true;
    this.#list.clear();
    this.#composer.clear();
    this.#menu.close(false);
    this.#moderation.close();
    this.#onUnread(0);
  }

  close() {
    this.#leave();
    this.#chat?.close();
    this.#chat = null;
    this.#channels = [];
    this.#names.clear();
  }

  /** @param {Participant[]} people */
  showPeople(people) {
    this.#people = people;
    for (const { id, name } of people) this.#names.set(id, name);
  }

  /** The pane came into sight. */
  handleShown() {
    if (this.#following) this.#toEnd();
    this.#markRead();
  }

  // ---- showing ------------------------------------------------------------------------------

  /** @param {ChatMessage[]} messages */
  #show(messages) {
    const channel = this.#channel;
    if (!channel) return;
    for (const [id, name] of namesOf(messages, this.#people)) this.#names.set(id, name);
    for (const id of this.#names.keys()) {
      if (this.#names.size <= NAMES_MAX) break;
      this.#names.delete(id);
    }
    const anchor = this.#following ? null : this.#anchor();
    this.#list.show(this.#named(messages), this.#unreadAfter);
    byId("older").hidden = !channel.hasOlder;
    byId("chat-empty").hidden = messages.length > 0 || channel.state === "loading";
    if (this.#following) this.#toEnd();
    else if (anchor) this.#scroll.scrollTop += topOf(anchor.item) - anchor.top;
    this.#markRead();
  }

  /**
   * What is left of a deleted message has no name.
   *
   * @param {ChatMessage[]} messages
   */
  #named(messages) {
    return messages.map((message) => {
      const { author, name } = message;
      if (name !== null || author === null) return message;
      return { ...message, name: this.#names.get(author) ?? null };
    });
  }

  #showState() {
    const channel = this.#channel;
    if (!channel) return;
    this.#pane.dataset.state = channel.state;
    const { detail, may, settings } = channel;
    const notice = words.noticeWords(detail, may, settings, this.#languages);
    byId("chat-notice").hidden = notice === "";
    say(byId("chat-notice"), notice);
    const open = channel.state !== "refused" && (!settings.locked || may.moderate);
    this.#composer.enable(open && (may.write || channel.state === "loading"));
    byId("chat-menu").hidden = !may.moderate && this.#chat?.blocked.length === 0;
    byId("chat-empty").hidden = channel.messages.length > 0 || channel.state === "loading";
  }

  #showTyping() {
    const typing = this.#channel?.typing ?? [];
    say(byId("typing"), words.typingWords(typing.map((id) => this.#names.get(id) ?? "Somebody")));
  }

  #showUnread() {
    const channel = this.#channel;
    if (!channel) return;
    const { unread } = channel;
    const newest = byId("newest");
    newest.hidden = this.#following || (unread === 0 && !channel.hasNewer);
    say(newest, unread > 0 ? words.unreadWords(unread) : "Newest messages");
    this.#onUnread(unread);
  }

  /** The first message in sight and where it is, so that what comes above does not move it. */
  #anchor() {
    const top = topOf(this.#scroll);
    const items = [...this.#scroll.querySelectorAll("li")];
    const item = items.find((one) => one.getBoundingClientRect().bottom > top);
    return item ? { item, top: topOf(item) } : null;
  }

  // ---- scrolling and reading ------------------------------------------------------------------

  #handleScroll() {
    const { clientHeight, scrollHeight, scrollTop } = this.#scroll;
    if (clientHeight === 0) return;
    const atEnd = scrollHeight - clientHeight - scrollTop < NEAR_END_PX;
    this.#following = atEnd && !this.#channel?.hasNewer;
    if (scrollTop < NEAR_START_PX) this.#loadOlder();
    if (atEnd) this.#try(() => this.#channel?.loadNewer());
    this.#markRead();
  }

  #loadOlder() {
    if (this.#channel?.hasOlder) this.#try(() => this.#channel?.loadOlder());
  }

  async #goToNewest() {
    await this.#try(() => this.#channel?.loadNewest());
    this.#following = true;
    this.#toEnd();
    this.#markRead();
  }

  #toEnd() {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  /** What is in sight is read; the rest gets a line above it. */
  #markRead() {
    const channel = this.#channel;
    if (!channel) return;
    const shown = this.#scroll.clientHeight > 0 && document.visibilityState === "visible";
    if (shown && this.#following) {
      channel.markRead();
    } else if (channel.unread > 0 && (this.#unreadAfter ?? -1) < channel.read) {
      this.#unreadAfter = channel.read;
      this.#list.show(this.#named(channel.messages), this.#unreadAfter);
    }
    this.#showUnread();
  }

  // ---- doing ------------------------------------------------------------------------------

  /**
   * @param {string} text
   * @param {number | undefined} replyTo
   */
  #send(text, replyTo) {
    const known = [...this.#names].map(([id, name]) => ({ id, name }));
    const mentions = words.mentionsIn(text, known);
    this.#sent(() => this.#channel?.send({ text, replyTo, mentions }));
  }

  /** @param {() => void} send */
  #sent(send) {
    this.#unreadAfter = null;
    this.#following = true;
    this.#try(async () => send());
  }

  /**
   * @param {ChatMessage} message
   * @param {string} reaction
   */
  #react({ seq }, reaction) {
    if (seq !== null) this.#try(() => this.#channel?.react(seq, reaction));
  }

  /** @param {() => Promise<unknown> | undefined} action */
  async #try(action) {
    try {
      this.#composer.fault("");
      await action();
    } catch (error) {
      const sentence = faultWords(error, this.#languages);
      this.#composer.fault(sentence);
      announce(sentence);
    }
  }

  // ---- menus ------------------------------------------------------------------------------

  /**
   * @param {ChatMessage} message
   * @param {HTMLElement} owner
   */
  #openMenu(message, owner) {
    if (message.system) return;
    this.#menu.open(owner, "Message", this.#itemsFor(message));
  }

  /**
   * @param {ChatMessage} message
   * @returns {import("./menu.js").MenuItem[]}
   */
  #itemsFor(message) {
    const { key, seq, self, deleted, state, text } = message;
    const channel = this.#channel;
    if (!channel) return [];
    if (state === "failed" && key !== null) {
      return [
        { label: "Try again", action: () => channel.retry(key) },
        { label: "Discard", danger: true, action: () => channel.discard(key) },
      ];
    }
    if (seq === null || state !== "sent") return [];
    const { write, moderate } = channel.may;
    const items = write && !deleted ? this.#wordsFor(message) : [];
    if (self && text !== null && !deleted) {
      items.push({ label: "Edit", action: () => this.#composer.edit(message) });
    }
    if ((self || moderate) && !deleted) {
      const remove = () => this.#try(() => channel.delete(seq));
      items.push({ label: "Delete", danger: true, action: remove });
    }
    if (!self) items.push(...this.#orderFor(message));
    return items;
  }

  /**
   * @param {ChatMessage} message
   * @returns {import("./menu.js").MenuItem[]}
   */
  #wordsFor(message) {
    const reactions = REACTIONS.map(([emoji = "", name]) => {
      const pressed = message.reactions.some(({ reaction, mine }) => mine && reaction === emoji);
      const action = () => this.#react(message, emoji);
      return { label: emoji, name: `React: ${name}`, row: true, pressed, action };
    });
    return [...reactions, { label: "Reply", action: () => this.#composer.reply(message) }];
  }

  /**
   * @param {ChatMessage} message of somebody else
   * @returns {import("./menu.js").MenuItem[]}
   */
  #orderFor(message) {
    const channel = this.#channel;
    const { author } = message;
    if (!channel || author === null) return [];
    const name = words.authorOf(message);
    /** @type {import("./menu.js").MenuItem[]} */
    const items = [];
    const report = () => this.#moderation.openReport(channel, message);
    if (!message.deleted) items.push({ label: "Report", action: report });
    const block = () => this.#try(() => this.#block(author, name));
    items.push({ label: `Block ${name}`, danger: true, action: block });
    if (!channel.may.moderate) return items;
    for (const [time, seconds] of MUTES) {
      const mute = () => this.#try(() => this.#mute(author, name, time, seconds));
      items.push({ label: `Mute ${name} for ${time}`, danger: true, action: mute });
    }
    const unmute = () => this.#try(() => channel.unmute(author));
    items.push({ label: `Unmute ${name}`, action: unmute });
    return items;
  }

  /**
   * @param {string} player
   * @param {string} name
   */
  async #block(player, name) {
    await this.setBlocked(player, name, true);
    announce(`${name} is blocked.`);
  }

  /** @param {string} player */
  isBlocked(player) {
    return this.#chat?.blocked.includes(player) ?? false;
  }

  /**
   * @param {string} player
   * @param {string} name
   * @param {boolean} blocked
   */
  async setBlocked(player, name, blocked) {
    this.#names.set(player, name);
    await (blocked ? this.#chat?.block(player) : this.#chat?.unblock(player));
    this.#showState();
  }

  /**
   * @param {string} player
   * @param {string} name
   * @param {string} time
   * @param {number} seconds
   */
  async #mute(player, name, time, seconds) {
    await this.#channel?.mute(player, seconds);
    announce(`${name} is muted for ${time}.`);
  }

  #openChatMenu() {
    const [chat, channel] = [this.#chat, this.#channel];
    if (!chat || !channel) return;
    /** @type {import("./menu.js").MenuItem[]} */
    const items = [];
    if (channel.may.moderate) {
      const open = () => void this.#moderation.openSettings(channel);
      items.push({ label: "Moderate this chat", action: open });
    }
    for (const player of chat.blocked.slice(0, 20)) {
      const unblock = () => this.#try(() => chat.unblock(player));
      items.push({ label: `Unblock ${this.#names.get(player) ?? player}`, action: unblock });
    }
    this.#menu.open(byId("chat-menu"), "Chat", items);
  }
}

/** @param {Element} element */
function topOf(element) {
  return element.getBoundingClientRect().top;
}

/**
 * The names by which people can be mentioned and are shown to type: those who are here, and those
 * who wrote.
 *
 * @param {ChatMessage[]} messages
 * @param {Participant[]} people
 * @returns {Map<string, string>}
 */
function namesOf(messages, people) {
  const wrote = messages.flatMap(({ author, name }) => (author && name ? [[author, name]] : []));
  const here = people.map(({ id, name }) => [id, name]);
  return new Map(/** @type {[string, string][]} */ ([...wrote, ...here]));
}
