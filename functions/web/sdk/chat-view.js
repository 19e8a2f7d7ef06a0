// What a channel's list shows: the messages that are numbered, and own ones on their way.

/** @import { Message } from "./chat-messages.js" */
/** @import { Outgoing } from "./chat-outbox.js" */
/** @import { VoiceError } from "./problem.js" */

/**
 * A message as an application shows it. `seq` is null until the service has numbered it; `key` is
 * there for own messages on their way. `problem` is why it failed, or what it waits for.
 *
 * @typedef {Omit<Message, "seq"> & { seq: number | null, key: string | null,
 *   state: "sent" | "pending" | "failed", self: boolean, mentionsMe: boolean,
 *   problem: VoiceError | null }} ChatMessage
 */

/** @typedef {{ player: string, name: string | null }} Self */

/**
 * @param {Message[]} messages in order
 * @param {readonly Outgoing[]} outgoing
 * @param {Self} self
 * @returns {ChatMessage[]}
 */
export function viewOf(messages, outgoing, self) {
  const shown = messages.map((message) => numbered(message, self));
  const own = messages.filter(({ author }) => author !== null && author === self.player);
  const claimed = new Set();
  for (const one of outgoing) {
    const twin = own.find(({ seq }) => seq === one.seq) ?? twinOf(one, own, claimed);
    if (twin) claimed.add(twin.seq);
    else shown.push(underWay(one, self));
  }
  return shown;
}

/**
 * @param {Message} message
 * @param {Self} self
 * @returns {ChatMessage}
 */
function numbered(message, { player }) {
  const self = message.author !== null && message.author === player;
  const mentionsMe = message.mentions.includes(player);
  return { ...message, key: null, state: "sent", self, mentionsMe, problem: null };
}

/**
 * @param {Outgoing} outgoing
 * @param {Self} self
 * @returns {ChatMessage}
 */
function underWay({ key, draft, atMs, state, problem, seq }, { player, name }) {
  return {
    seq,
    key,
    atMs,
    version: 0,
    author: player,
    name,
    platform: null,
    text: draft.text ?? null,
    phrase: draft.phrase ?? null,
    system: draft.notice ? { event: "notice", phrase: draft.notice } : null,
    replyTo: draft.replyTo ?? null,
    mentions: draft.mentions ?? [],
    attachments: draft.attachments ?? [],
    editedAtMs: null,
    deleted: null,
    reactions: [],
    state,
    self: true,
    mentionsMe: false,
    problem,
  };
}

/**
 * The push of an own message may be quicker than the reply to it, and the reply may be lost. Such
 * a message is shown once: not as under way while one like it has arrived since.
 *
 * @param {Outgoing} outgoing
 * @param {Message[]} arrived
 * @param {ReadonlySet<number>} claimed
 */
function twinOf({ draft, after, state, unsure }, arrived, claimed) {
  if (state === "failed" && !unsure) return undefined;
  return arrived.find(
    (message) =>
      message.seq > after &&
      !claimed.has(message.seq) &&
      message.version === 1 &&
      message.text === (draft.text ?? null) &&
      message.phrase === (draft.phrase ?? null) &&
      message.replyTo === (draft.replyTo ?? null),
  );
}
