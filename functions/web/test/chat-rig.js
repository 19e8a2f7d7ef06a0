// A chat on a fake service and a relay that loses, doubles and reorders what it pushes.

/** @import { VoiceRoom } from "../sdk/room.js" */

import { Chat, roomChannel } from "../sdk/chat.js";
import { readEvent } from "../sdk/chat-messages.js";
import { Emitter } from "../sdk/emitter.js";
import { CHANNEL, FakeChat } from "./fake-chat.js";
import { randomOf, runtimeOf, VirtualClock } from "./virtual.js";

/** As much of a voice room as chat looks at. @extends {Emitter<Record<string, unknown>>} */
class FakeRoom extends Emitter {
  room = "lobby";
  state = "idle";
  world = /** @type {string | null} */ (null);

  /** @param {string} world as the reply to a join says */
  enter(world) {
    this.world = world;
    this.emit("world", world);
  }

  /** @param {string} state */
  become(state) {
    this.state = state;
    this.emit("state", { state });
  }

  /**
   * @param {any} raw as it came over the wire
   * @param {string} [channel]
   */
  push(raw, channel = CHANNEL) {
    const event = readEvent(JSON.parse(JSON.stringify(raw)));
    if (event && this.state === "connected") this.emit("chat", { channel, event });
  }
}

/**
 * `lose`, `double` and `late` are the chances of a push.
 *
 * @param {{ seed?: number, windowMax?: number, permissions?: string[],
 *   token?: () => string | Promise<string> }} [options]
 */
export function chatRig({ seed = 0, windowMax, permissions, token } = {}) {
  const random = randomOf(seed);
  const clock = new VirtualClock();
  const service = new FakeChat(clock, random);
  const room = new FakeRoom();
  const relay = { lose: 0, double: 0, late: 0 };
  service.push = (event) => {
    if (random() < relay.lose) return;
    const copies = random() < relay.double ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      const ms = random() < relay.late ? random() * 3000 : 1;
      clock.later(ms, () => room.push(event));
    }
  };
  const chat = new Chat({
    token: token ?? (() => FakeChat.token(permissions)),
    windowMax,
    runtime: runtimeOf(clock, random, service.fetch),
  });
  chat.attach(/** @type {VoiceRoom} */ (/** @type {unknown} */ (room)));
  const open = () => chat.channel(roomChannel("lobby"));
  return { chat, clock, open, random, relay, room, service };
}
