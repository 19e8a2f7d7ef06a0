// What a relay hears of nobody for five seconds it sends nothing: it asks first, by a HEARTBEAT of
// SCTP, and the browser answers by itself (decision 34).

import assert from "node:assert/strict";
import { hears, join, scenario, until } from "./support/scenario.mjs";

const ANN = 523;
const BOB = 1237;
/** Voice packets of eight seconds. */
const PACKETS = 400;

/** In the page, before anything else: packets can be counted, and pings stay here. */
function sayNothing() {
  const connections = [];
  globalThis.connections = connections;
  globalThis.countVoice = async () => {
    const sum = { received: 0, sent: 0 };
    for (const connection of connections) {
      for (const entry of (await connection.getStats()).values()) {
        if (entry.type === "inbound-rtp") sum.received += entry.packetsReceived;
        if (entry.type === "outbound-rtp") sum.sent += entry.packetsSent;
      }
    }
    return sum;
  };
  const Real = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Real {
    constructor(...values) {
      super(...values);
      connections.push(this);
    }

    createDataChannel(...values) {
      const channel = super.createDataChannel(...values);
      const send = channel.send.bind(channel);
      channel.send = (text) => {
        const message = JSON.parse(text);
        if (message.type !== "ping") return send(text);
        const data = JSON.stringify({ type: "pong", id: message.id });
        queueMicrotask(() => channel.dispatchEvent(new MessageEvent("message", { data })));
      };
      return channel;
    }
  };
}

/** In the page: no microphone from now on. */
async function dropMicrophone() {
  const senders = globalThis.connections.flatMap((connection) => connection.getSenders());
  await Promise.all(senders.map((sender) => sender.replaceTrack(null)));
}

for (const kind of ["chromium", "firefox"]) {
  scenario(`a ${kind} that says nothing hears on`, async ({ open, room }) => {
    const before = (page) => page.evaluateOnNewDocument(sayNothing);
    const ann = await open({ tone: ANN });
    const bob = await open({ kind, tone: BOB, before });
    await join(ann, { name: "Ann", room });
    await join(bob, { name: "Bob", room });
    await Promise.all([hears(ann, BOB, ANN), hears(bob, ANN, BOB)]);
    await bob.evaluate(dropMicrophone);
    const first = await bob.evaluate(() => globalThis.countVoice());
    await until(bob, async (wanted) => (await globalThis.countVoice()).received >= wanted, [
      first.received + PACKETS,
    ], { what: `${PACKETS} packets are heard` });
    const { sent } = await bob.evaluate(() => globalThis.countVoice());
    // The last of the microphone may have been under way.
    assert.ok(sent <= first.sent + 5, `${sent - first.sent} packets are sent`);
  });
}
