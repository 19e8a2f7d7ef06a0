// LifeVerse Voice for browsers. See ../README.md for the guide.
//
//   import { joinRoom } from "/sdk/index.js";
//   const room = await joinRoom({ room: "lobby", token: async () => fetchToken() });

import { VoiceRoom } from "./room.js";

/**
 * @typedef {import("./room-state.js").RoomState} RoomState
 * @typedef {import("./room-players.js").RoomPlayer} RoomPlayer
 * @typedef {import("./room-players.js").RoomPlayers} RoomPlayers
 * @typedef {import("./room.js").StateDetail} StateDetail
 * @typedef {import("./room.js").RoomEvents} RoomEvents
 * @typedef {import("./room.js").RoomOptions} RoomOptions
 * @typedef {import("./meters.js").QualityDetail} QualityDetail
 * @typedef {import("./roster.js").Participant} Participant
 * @typedef {import("./quality.js").Grade} Grade
 * @typedef {import("./microphone.js").MicrophoneChoice} MicrophoneChoice
 * @typedef {import("./chat.js").ChatOptions} ChatOptions
 * @typedef {import("./chat.js").PresenceStatus} PresenceStatus
 * @typedef {import("./chat-channel.js").ChatChannelEvents} ChatChannelEvents
 * @typedef {import("./chat-view.js").ChatMessage} ChatMessage
 * @typedef {import("./chat-channel.js").ChatState} ChatState
 * @typedef {import("./chat-messages.js").ChannelSettings} ChannelSettings
 * @typedef {import("./chat-outbox.js").Draft} Draft
 * @typedef {import("./latency.js").MeasureOptions} MeasureOptions
 * @typedef {import("./matchmaker.js").MatchmakerOptions} MatchmakerOptions
 * @typedef {import("./matchmaker.js").QueueOptions} QueueOptions
 * @typedef {import("./match.js").JoinedMatch} JoinedMatch
 * @typedef {import("./match.js").MatchVoiceOptions} MatchVoiceOptions
 * @typedef {import("./match-ticket.js").PlayerDetails} PlayerDetails
 * @typedef {import("./match-ticket.js").TicketDetail} TicketDetail
 * @typedef {import("./match-ticket.js").TicketEvents} TicketEvents
 * @typedef {import("./match-ticket.js").TicketHandlers} TicketHandlers
 * @typedef {import("./match-messages.js").Invitation} Invitation
 * @typedef {import("./match-messages.js").Member} Member
 * @typedef {import("./match-messages.js").ModeExplanation} ModeExplanation
 * @typedef {import("./match-messages.js").QueueRules} QueueRules
 * @typedef {import("./match-messages.js").Regions} Regions
 * @typedef {import("./match-messages.js").Team} Team
 */

/**
 * Joins a room and resolves when connected. It is `new VoiceRoom(options)` and `join()` in one; to
 * see the states on the way in, give handlers as `options.on` or use the two steps.
 *
 * @param {RoomOptions} options
 * @returns {Promise<VoiceRoom>}
 * @throws {import("./problem.js").VoiceError} refused, microphone denied, or left meanwhile
 */
export async function joinRoom(options) {
  const room = new VoiceRoom(options);
  await room.join();
  return room;
}

export { Chat, roomChannel } from "./chat.js";
export { ChatChannel } from "./chat-channel.js";
export { measureLatency } from "./latency.js";
export { Match } from "./match.js";
export { MatchTicket } from "./match-ticket.js";
export { Matchmaker } from "./matchmaker.js";
export { RoomModeration } from "./room-moderation.js";
export { PHRASES, phraseText } from "./phrases.js";
export { problemText } from "./problem-text.js";
export { VoiceRoom } from "./room.js";
export { VoiceError } from "./problem.js";
export { microphones, outputs } from "./microphone.js";
export { canChooseOutput } from "./playback.js";
