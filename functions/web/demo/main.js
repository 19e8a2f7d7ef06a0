// The page: one room at a time, on the public interface of the SDK and nothing else.

/** @import { ChatChannel, Match } from "/sdk/index.js" */
/** @import { Participant, QualityDetail, RoomOptions, StateDetail } from "/sdk/index.js" */
/** @import { Wish } from "./door.js" */

import { Chat, roomChannel, VoiceRoom } from "/sdk/index.js";
import { announce } from "./announcer.js";
import { ChatPane } from "./chat-pane.js";
import { unreadWords } from "./chat-words.js";
import { byId, say } from "./dom.js";
import { Door } from "./door.js";
import { MatchPane } from "./match-pane.js";
import { People } from "./people.js";
import { PersonMenu } from "./person-menu.js";
import { Settings } from "./settings.js";
import { fetchToken } from "./token.js";
import { EGRESS_USD_PER_GB, PRICES_OF } from "./prices.js";
import {
  costNote,
  costWords,
  countWords,
  inviteLink,
  progressWords,
  qualityNews,
  qualityTitle,
  qualityWords,
  rosterNews,
} from "./words.js";

const COPIED_FOR_MS = 2500;
/** How often the meter tells assistive technology its value. */
const METER_TELL_MS = 500;

/** @type {VoiceRoom | null} */
let room = null;
/** @type {Participant[]} */
let known = [];
let meterTold = 0;
/** @type {Entry | null} */
let entered = null;

/**
 * What differs between a room and a match.
 *
 * @typedef {{ title: string, voice: (on: RoomOptions["on"]) => VoiceRoom,
 *   chat: () => { chat: Chat, channels: ChatChannel[] }, opponents?: ReadonlySet<string>,
 *   again?: (listenOnly: boolean) => void, menu: PersonMenu }} Entry
 */

const section = byId("room");
const door = new Door({
  join: enterRoom,
  cancel: () => room?.leave(),
  back: () => matches.showAgain(),
  find: (search) => matches.find(search),
  answer: (person, party, accept) => matches.answerInvitation(person, party, accept),
  rules: (queue, token) => matches.rules(queue, token),
  invitations: (token) => matches.invitations(token),
});
const matches = new MatchPane({
  show: (panel) => door.show(panel),
  done: (message) => door.showForm(message),
  enter: enterMatch,
});
const settings = new Settings(showControls);
const chat = new ChatPane(showUnread, showBlocks);
let people = newPeople(null);
let unread = 0;

/** @param {Wish} wish */
function enterRoom(wish) {
  const { room, listenOnly } = wish;
  const token = () => fetchToken(wish);
  history.replaceState(null, "", inviteLink(new URL(location.href), room));
  return enter({
    title: `#${room}`,
    voice: (on) => new VoiceRoom({ room, token, microphone: listenOnly ? null : undefined, on }),
    chat() {
      const chat = new Chat({ token });
      return { chat, channels: [chat.channel(roomChannel(room))] };
    },
    menu: new PersonMenu(chat, wish.moderator ? { room, token } : undefined),
  });
}

/** @param {Match} match @param {boolean} listenOnly */
function enterMatch(match, listenOnly) {
  return enter({
    title: match.team?.name ?? match.mode,
    voice: (on) => match.voice({ microphone: listenOnly ? null : undefined, on }),
    chat: () => match.chat(),
    opponents: new Set(match.opponents),
    again: (silent) => enterMatch(match, silent),
    menu: new PersonMenu(chat),
  });
}

/** @param {Entry} entry */
async function enter(entry) {
  await room?.leave();
  const joining = entry.voice({
    state: (detail) => joining === room && showState(detail),
    roster: showRoster,
    speaking: () => people.show(joining.participants, joining.participantCount),
    level: showLevel,
    quality: showQuality,
    playback: showBanner,
  });
  room = joining;
  people = newPeople(entry);
  known = [];
  entered = entry;
  // The reason for a failure is shown by the last state event.
  await joining.join().catch(() => {});
}

/** @param {Entry | null} entry */
function newPeople(entry) {
  return new People({
    volumeOf: (id) => room?.volume(id) ?? 1,
    setVolume: (id, volume) => room?.setVolume(id, volume),
    opponents: entry?.opponents ?? new Set(),
    isBlocked: (id) => chat.isBlocked(id),
    menu: (person, owner) => entry?.menu.open(person, owner),
    alone: entry?.opponents
      ? "The others come in as soon as they join."
      : "Send the invite link, or open it in a second tab.",
  });
}

// ---- showing ------------------------------------------------------------------------------

/** @param {StateDetail} detail */
function showState(detail) {
  section.dataset.state = detail.state;
  switch (detail.state) {
    case "connected":
      return showRoom();
    case "reconnecting":
      return showBanner();
    case "microphone":
    case "connecting":
      section.hidden = true;
      return door.showProgress(detail);
    default:
      return showEnd(detail);
  }
}

function showRoom() {
  if (!room || !entered) return;
  showBanner();
  showControls();
  if (!section.hidden) return announce("You are back in the room.");
  door.hide();
  section.hidden = false;
  chat.open(room, entered.chat());
  showTitle();
  say(byId("room-title"), entered.title);
  // A match is not for others to come in by a link.
  byId("invite").hidden = entered.again !== undefined;
  byId("room-title").focus();
  announce(`You are in ${nameOf(entered)}.`);
}

/** @param {StateDetail} detail */
function showEnd({ state, problem, reason }) {
  const was = entered;
  room = entered = null;
  settings.close();
  chat.close();
  section.hidden = true;
  showTitle();
  if (problem && problem.problem !== "left") door.showRefusal(problem, was?.again);
  else if (!was?.again || !matches.showAgain()) door.showForm();
  if (state === "left" && reason === "left" && was) announce(`You left ${nameOf(was)}.`);
}

/** @param {Entry} entry */
function nameOf({ title }) {
  return title.replace("#", "");
}

/** Reconnecting, or waiting for a click before sound may play. */
function showBanner() {
  if (!room) return;
  const away = room.state === "reconnecting";
  const mute = !away && room.state === "connected" && room.needsGesture;
  byId("banner").hidden = !away && !mute;
  byId("sound-on").hidden = !mute;
  byId("banner").querySelector(".spinner")?.toggleAttribute("hidden", mute);
  if (away) {
    const words = progressWords(room.detail);
    say(byId("banner-text"), `${words.title}. ${words.detail}`);
  } else if (mute) {
    say(byId("banner-text"), "Your browser plays no sound until you ask for it.");
  }
}

/** @param {Participant[]} roster */
function showRoster(roster) {
  const count = room?.participantCount ?? roster.length;
  people.show(roster, count);
  chat.showPeople(roster);
  say(byId("count"), countWords(count));
  if (known.length > 0) announce(rosterNews(known, roster));
  known = roster;
  showControls();
}

/** Somebody is blocked, or not any more. */
function showBlocks() {
  if (room) people.show(room.participants, room.participantCount);
}

/** @param {QualityDetail} quality */
function showQuality(quality) {
  const chip = byId("quality");
  const before = chip.dataset.quality;
  chip.dataset.quality = quality.quality;
  chip.title = qualityTitle(quality);
  say(byId("quality-text"), qualityWords(quality));
  showCost(quality.heardBytes);
  const news = qualityNews(before, quality.quality);
  if (news) announce(news);
}

/** @param {number} bytes */
function showCost(bytes) {
  const cost = byId("cost");
  cost.hidden = bytes === 0;
  cost.title = costNote(PRICES_OF, EGRESS_USD_PER_GB);
  say(cost, costWords(bytes, EGRESS_USD_PER_GB));
}

/** @param {number} level */
function showLevel(level) {
  const meter = byId("meter");
  meter.style.setProperty("--level", level.toFixed(2));
  if (room?.self) people.showLevel(room.self.id, level);
  const now = performance.now();
  if (now - meterTold < METER_TELL_MS && level > 0) return;
  meterTold = now;
  meter.setAttribute("aria-valuenow", String(Math.round(level * 100)));
}

/** @param {number} count */
function showUnread(count) {
  unread = count;
  const badge = byId("unread");
  badge.hidden = count === 0;
  say(badge, count > 99 ? "99+" : String(count));
  byId("view-chat").setAttribute("aria-label", count > 0 ? `Chat, ${unreadWords(count)}` : "Chat");
  showTitle();
}

function showTitle() {
  const count = unread > 0 ? `(${unread}) ` : "";
  document.title = entered ? `${count}${entered.title} · LifeVerse Voice` : "LifeVerse Voice";
}

/** On a narrow screen there is room for one. @param {"people" | "chat"} view */
function showView(view) {
  section.dataset.view = view;
  byId("view-people").setAttribute("aria-pressed", String(view === "people"));
  byId("view-chat").setAttribute("aria-pressed", String(view === "chat"));
  chat.handleShown();
}

function showControls() {
  if (!room) return;
  const mute = byId("mute", HTMLButtonElement);
  mute.setAttribute("aria-pressed", String(room.muted));
  mute.title = room.hasMicrophone ? "Mute (M)" : "You only listen. Choose a microphone in Sound.";
  byId("deafen").setAttribute("aria-pressed", String(room.deafened));
  byId("deafen").title = "Deafen (D)";
}

// ---- doing --------------------------------------------------------------------------------

function toggleMute() {
  if (!room) return;
  if (!room.hasMicrophone) {
    announce("You only listen. Choose a microphone.");
    settings.open(room);
    return;
  }
  if (room.muted) room.unmute();
  else room.mute();
  showControls();
  announce(room.muted ? "Microphone muted." : "Microphone on.");
}

function toggleDeafen() {
  if (!room) return;
  if (room.deafened) room.undeafen();
  else room.deafen();
  showControls();
  announce(room.deafened ? "Deafened. You hear nobody." : "You hear the room again.");
}

async function copyInvite() {
  const link = byId("invite-link", HTMLInputElement);
  const button = byId("invite");
  link.value = location.href;
  try {
    await navigator.clipboard.writeText(link.value);
    say(button, "Link copied");
    announce("Invite link copied.");
    setTimeout(() => say(button, "Copy invite link"), COPIED_FOR_MS);
  } catch {
    // No permission for the clipboard: show the link, ready to be copied by hand.
    link.hidden = false;
    link.focus();
    link.select();
  }
}

/** @param {KeyboardEvent} event */
function handleKey(event) {
  if (!room || section.hidden || !settings.shortcuts) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const target = event.target;
  const field = "input:not([type=range]), textarea, select";
  if (target instanceof Element && target.matches(field)) return;
  const key = event.key.toLowerCase();
  if (key === "m") toggleMute();
  if (key === "d") toggleDeafen();
}

byId("view-people").addEventListener("click", () => showView("people"));
byId("view-chat").addEventListener("click", () => showView("chat"));
byId("mute").addEventListener("click", toggleMute);
byId("deafen").addEventListener("click", toggleDeafen);
byId("sound").addEventListener("click", () => room && settings.open(room));
byId("leave").addEventListener("click", () => room?.leave());
byId("invite").addEventListener("click", copyInvite);
byId("sound-on").addEventListener("click", () => room?.resume());
document.addEventListener("keydown", handleKey);
matches.resume();
