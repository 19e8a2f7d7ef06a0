import assert from "node:assert/strict";
import { test } from "node:test";
import { chatRig } from "./chat-rig.js";
import { FakeChat } from "./fake-chat.js";
import { FINE } from "./fake-service.js";

/** @import { ChatChannel } from "../sdk/chat-channel.js" */

/** @param {ChatChannel} channel */
const texts = (channel) => channel.messages.map(({ text, deleted }) => deleted ?? text);

/** @param {Parameters<typeof chatRig>[0]} [options] */
async function connected(options) {
  const rig = chatRig(options);
  rig.room.become("connected");
  const channel = rig.open();
  await rig.clock.pass(500);
  assert.equal(channel.state, "live");
  return { ...rig, channel };
}

test("what was missed is fetched as soon as the next message shows it", async () => {
  const { channel, clock, relay, service } = await connected();
  service.post({ author: "p-a", text: "one" });
  relay.lose = 1;
  service.post({ author: "p-a", text: "two" });
  relay.lose = 0;
  service.post({ author: "p-a", text: "three" });
  await clock.pass(10);
  assert.deepEqual(texts(channel), ["one"], "nothing is shown before what precedes it");
  await clock.pass(400);
  assert.deepEqual(texts(channel), ["one", "two", "three"]);
});

test("live means that what was said before the relay pushed is here", async () => {
  for (const lateMs of [0, 2, 4, 6, 8, 10, 12]) {
    const { clock, open, room, service } = chatRig({ seed: lateMs });
    service.weather = { ...FINE, delayMs: 10 };
    const channel = open();
    /** @type {number[]} */
    const asked = [];
    channel.on("state", ({ state }) => {
      if (state === "live") asked.push(service.requests.length);
    });
    // The relay comes while the first look is on its way.
    await clock.pass(lateMs);
    room.become("connected");
    await clock.pass(500);
    assert.equal(channel.state, "live");
    assert.deepEqual(asked, [service.requests.length], `after ${lateMs} ms`);
  }
});

test("messages in order cost no request, and a late one only waits", async () => {
  const { channel, clock, room, service } = await connected();
  const before = service.requests.length;
  const push = service.push;
  /** @type {any[]} */
  const held = [];
  service.push = (event) => held.push(event);
  for (const text of ["one", "two", "three"]) service.post({ author: "p-a", text });
  for (const event of [held[1], held[0], held[0], held[2], held[1]]) room.push(event);
  await clock.pass(20_000);
  assert.deepEqual(texts(channel), ["one", "two", "three"]);
  assert.equal(service.requests.length, before);
  service.push = push;
});

test("a lost last message is noticed although nothing follows it", async () => {
  const { channel, clock, relay, service } = await connected();
  relay.lose = 1;
  service.post({ author: "p-a", text: "goodbye" });
  await clock.pass(80_000);
  assert.deepEqual(texts(channel), ["goodbye"]);
});

test("without a relay messages come by waiting requests, few of them", async () => {
  const { channel, clock, room, service } = await connected();
  room.become("left");
  await clock.pass(1000);
  assert.equal(channel.state, "polling");
  service.post({ author: "p-a", text: "hello" });
  await clock.pass(700);
  assert.deepEqual(texts(channel), ["hello"]);
  const before = service.requests.length;
  await clock.pass(60_000);
  const perMinute = service.requests.length - before;
  assert.ok(perMinute <= 8, `${perMinute} requests in a quiet minute`);
});

test("a message whose reply was lost is sent again with its key and appears once", async () => {
  const { channel, clock, service } = await connected();
  service.weather = { ...FINE, loseReply: 1 };
  channel.send("hello");
  assert.deepEqual(channel.messages.map(({ state }) => state), ["pending"]);
  await clock.pass(3000);
  assert.ok(service.requests.filter((request) => request.startsWith("POST")).length > 1);
  service.weather = FINE;
  await clock.pass(10_000);
  assert.equal(service.messages.length, 1);
  const shown = channel.messages.map(({ text, state, seq }) => ({ text, state, seq }));
  assert.deepEqual(shown, [{ text: "hello", state: "sent", seq: 1 }]);
});

test("messages written offline go out in order when there is a network again", async () => {
  const { channel, clock, service } = await connected();
  service.online = false;
  for (const text of ["one", "two", "three"]) channel.send(text);
  await clock.pass(20_000);
  assert.deepEqual(texts(channel), ["one", "two", "three"]);
  assert.ok(channel.messages.every(({ state }) => state === "pending"));
  service.online = true;
  await clock.pass(20_000);
  assert.deepEqual(service.messages.map(({ text }) => text), ["one", "two", "three"]);
  assert.ok(channel.messages.every(({ state }) => state === "sent"));
});

test("a refused message says why, lets the next one pass, and can be tried again", async () => {
  const { channel, clock, service } = await connected();
  service.refusals.push({ status: 403, problem: "muted", retryAfter: 600 });
  const key = channel.send("one");
  channel.send("two");
  await clock.pass(500);
  assert.deepEqual(channel.messages.map(({ text, state }) => [text, state]), [
    ["two", "sent"],
    ["one", "failed"],
  ]);
  assert.equal(channel.messages[1]?.problem?.problem, "muted");
  channel.retry(key);
  await clock.pass(500);
  assert.deepEqual(texts(channel), ["two", "one"]);
  assert.ok(channel.messages.every(({ state }) => state === "sent"));
});

test("a failed message can be dropped", async () => {
  const { channel, clock, service } = await connected();
  service.refusals.push({ status: 422, problem: "word-refused" });
  const key = channel.send("bad");
  await clock.pass(500);
  channel.discard(key);
  await clock.pass(10);
  assert.deepEqual(channel.messages, []);
});

test("too fast: a short wait is waited out, a long one is told", async () => {
  const { channel, clock, service } = await connected();
  service.refusals.push({ status: 429, problem: "too-fast", retryAfter: 3 });
  channel.send("soon");
  await clock.pass(2000);
  assert.equal(channel.messages[0]?.state, "pending");
  await clock.pass(3000);
  assert.equal(channel.messages[0]?.state, "sent");
  service.refusals.push({ status: 429, problem: "too-fast", retryAfter: 300 });
  channel.send("late");
  await clock.pass(500);
  assert.equal(channel.messages[1]?.state, "failed");
  assert.equal(channel.messages[1]?.problem?.retryAfterMs, 300_000);
});

test("what may have arrived is not sent again once its key is forgotten", async () => {
  let rounds = 0;
  const token = () => FakeChat.token(undefined, (rounds += 1));
  const { channel, clock, service } = await connected({ token });
  service.weather = { ...FINE, loseReply: 1 };
  const key = channel.send("once");
  await clock.pass(1000);
  service.refusals.push({ status: 403, problem: "policy-refused" });
  service.weather = FINE;
  await clock.pass(6000);
  for (let n = 0; n < 10; n += 1) channel.send(`later ${n}`);
  await clock.pass(3000);
  service.keys.clear();
  channel.retry(key);
  await clock.pass(3000);
  const copies = service.messages.filter(({ text }) => text === "once");
  assert.equal(copies.length, 1);
});

test("the outbox does not grow without end", async () => {
  const { channel, service } = await connected();
  service.online = false;
  for (let n = 0; n < 50; n += 1) channel.send(`${n}`);
  assert.throws(() => channel.send("one more"), { problem: "outbox-full" });
});

test("an expired token is replaced once, and the request repeated", async () => {
  let rounds = 0;
  const token = () => FakeChat.token(undefined, (rounds += 1));
  const { channel, clock, service } = await connected({ token });
  service.expired.add(`Bearer ${FakeChat.token(undefined, 1)}`);
  channel.send("hello");
  await clock.pass(500);
  assert.equal(channel.messages[0]?.state, "sent");
  assert.equal(rounds, 2);
});

test("a token that stays bad ends the channel with the reason", async () => {
  const rig = chatRig();
  rig.service.expired.add(`Bearer ${FakeChat.token()}`);
  const channel = rig.open();
  await rig.clock.pass(5000);
  assert.equal(channel.state, "refused");
  assert.equal(channel.detail.problem?.problem, "token-expired");
  const asked = rig.service.requests.length;
  await rig.clock.pass(60_000);
  assert.equal(rig.service.requests.length, asked, "it does not go on asking");
});

test("an edit names its version, and a stale one is refused and shows the newer text", async () => {
  const { channel, clock, relay, service } = await connected();
  channel.send("first");
  await clock.pass(100);
  await Promise.all([channel.edit(1, "second"), clock.pass(100)]);
  assert.deepEqual(texts(channel), ["second"]);
  relay.lose = 1;
  service.change(1, { text: "third" });
  await Promise.all([
    assert.rejects(channel.edit(1, "fourth"), { problem: "version-conflict" }),
    clock.pass(500),
  ]);
  assert.deepEqual(texts(channel), ["third"]);
});

test("a deleted message loses its text everywhere, also when the push is late", async () => {
  const { channel, clock, room, service } = await connected();
  const message = { ...service.post({ author: "p-a", text: "secret" }) };
  await clock.pass(100);
  service.change(1, { deleted: "moderator" });
  await clock.pass(100);
  room.push({ kind: "changed", message: { ...message, text: "secret, edited", version: 1 } });
  await clock.pass(100);
  assert.deepEqual(texts(channel), ["moderator"]);
  assert.equal(channel.messages[0]?.text, null);
});

test("a reaction counts once, however often it is told", async () => {
  const { channel, clock, room, service } = await connected();
  service.post({ author: "p-a", text: "hello" });
  const reacted = { kind: "reacted", seq: 1, player: "p-b", reaction: "fire", added: true };
  await clock.pass(100);
  room.push(reacted);
  room.push(reacted);
  await Promise.all([channel.react(1, "fire"), clock.pass(100)]);
  const counts = () => channel.messages[0]?.reactions;
  assert.deepEqual(counts(), [{ reaction: "fire", count: 2, mine: true }]);
  room.push({ ...reacted, added: false });
  await Promise.all([channel.react(1, "fire"), clock.pass(100)]);
  assert.deepEqual(counts(), []);
});

test("a blocked player's messages are hidden, and come back with the block", async () => {
  const { channel, chat, clock, service } = await connected();
  service.post({ author: "p-a", text: "nice" });
  service.post({ author: "p-b", text: "rude" });
  await clock.pass(100);
  await Promise.all([chat.block("p-b"), clock.pass(200)]);
  service.post({ author: "p-b", text: "ruder" });
  service.post({ author: "p-a", text: "still nice" });
  await clock.pass(1000);
  assert.deepEqual(texts(channel), ["nice", "still nice"]);
  assert.equal(channel.unread, 2);
  await Promise.all([chat.unblock("p-b"), clock.pass(1000)]);
  assert.deepEqual(texts(channel), ["nice", "rude", "ruder", "still nice"]);
});

test("unread counts others' messages after the marker, which never goes back", async () => {
  const { channel, clock, service } = await connected();
  for (const text of ["one", "two", "three"]) service.post({ author: "p-a", text });
  channel.send("mine");
  await clock.pass(500);
  assert.equal(channel.unread, 3);
  channel.markRead(2);
  assert.equal(channel.unread, 1);
  channel.markRead(1);
  assert.equal(channel.read, 2);
  channel.markRead();
  await clock.pass(2000);
  assert.equal(channel.unread, 0);
  assert.equal(service.read, 4);
  const marks = service.requests.filter((request) => request.startsWith("PUT")).length;
  assert.equal(marks, 1, "markers are gathered");
});

test("typing is told at most every three seconds and ends by itself", async () => {
  const { channel, clock, room, service } = await connected();
  for (let key = 0; key < 50; key += 1) {
    channel.type();
    await clock.pass(100);
  }
  assert.equal(service.requests.filter((request) => request.endsWith("/typing")).length, 2);
  room.push({ kind: "typing", player: "p-a" });
  room.push({ kind: "typing", player: "p-me" });
  await clock.pass(5000);
  assert.deepEqual(channel.typing, ["p-a"]);
  await clock.pass(2000);
  assert.deepEqual(channel.typing, []);
});

test("whoever sends a message has stopped typing", async () => {
  const { channel, clock, room, service } = await connected();
  room.push({ kind: "typing", player: "p-a" });
  assert.deepEqual(channel.typing, ["p-a"]);
  service.post({ author: "p-a", text: "done" });
  await clock.pass(10);
  assert.deepEqual(channel.typing, []);
});

test("the window keeps its size while scrolling a long history", async () => {
  const rig = chatRig({ windowMax: 150 });
  for (let n = 1; n <= 1000; n += 1) rig.service.post({ author: "p-a", text: `${n}` });
  const all = rig.service.visible().map(({ text }) => text);
  const channel = rig.open();
  await rig.clock.pass(500);
  const sizes = [];
  while (channel.hasOlder) {
    await Promise.all([channel.loadOlder(), rig.clock.pass(100)]);
    sizes.push(channel.messages.length);
  }
  assert.deepEqual(texts(channel), all.slice(0, 150));
  assert.ok(Math.max(...sizes) <= 150);
  rig.service.post({ author: "p-a", text: "1001" });
  await rig.clock.pass(10_000);
  assert.deepEqual(texts(channel), all.slice(0, 150), "a new message does not tear the list");
  while (channel.hasNewer) {
    await Promise.all([channel.loadNewer(), rig.clock.pass(100)]);
  }
  assert.deepEqual(texts(channel), [...all, "1001"].slice(-150));
});

test("the newest messages can be asked for while older ones are on their way", async () => {
  const rig = chatRig({ windowMax: 150 });
  for (let n = 1; n <= 1000; n += 1) rig.service.post({ author: "p-a", text: `${n}` });
  const channel = rig.open();
  await rig.clock.pass(500);
  await Promise.all([channel.loadOlder(), rig.clock.pass(100)]);
  assert.equal(channel.hasNewer, true);
  await Promise.all([channel.loadOlder(), channel.loadNewest(), rig.clock.pass(200)]);
  assert.equal(channel.hasNewer, false);
  assert.equal(texts(channel).at(-1), "1000");
});

test("whoever was away for long gets the newest, and the rest on scroll", async () => {
  const { channel, clock, room, service } = await connected();
  service.post({ author: "p-a", text: "before" });
  await clock.pass(100);
  room.become("reconnecting");
  service.online = false;
  for (let n = 1; n <= 2000; n += 1) service.post({ author: "p-a", text: `${n}` });
  service.online = true;
  room.become("connected");
  await clock.pass(20_000);
  const all = service.visible().map(({ text }) => text);
  assert.ok(channel.messages.length <= 500);
  assert.deepEqual(texts(channel), all.slice(-channel.messages.length));
  assert.equal(channel.hasOlder, true);
});

test("after a reconnect everything that is shown is compared, not only the newest", async () => {
  const rig = chatRig();
  for (let n = 1; n <= 300; n += 1) rig.service.post({ author: "p-a", text: `${n}` });
  rig.room.become("connected");
  const channel = rig.open();
  await rig.clock.pass(500);
  await Promise.all([channel.loadOlder(), rig.clock.pass(200)]);
  const old = channel.messages[0]?.seq ?? 0;
  rig.room.become("reconnecting");
  rig.service.online = false;
  rig.service.change(old, { text: "edited" });
  rig.service.online = true;
  rig.room.become("connected");
  await rig.clock.pass(3000);
  assert.equal(texts(channel)[0], "edited");
  assert.ok(channel.messages.length >= 200);
});

test("a service that does not wait is asked when it says", async () => {
  for (const [pollAfterMs, most] of [[2000, 36], [20_000, 9], [undefined, 65]]) {
    const rig = chatRig();
    Object.assign(rig.service, { waits: false, pollAfterMs });
    const channel = rig.open();
    await rig.clock.pass(1000);
    const before = rig.service.requests.length;
    await rig.clock.pass(60_000);
    const asked = rig.service.requests.length - before;
    assert.ok(asked <= (most ?? 0) && asked > (most ?? 0) / 3, `${asked} of ${most}`);
    rig.service.post({ author: "p-a", text: "hello" });
    await rig.clock.pass((pollAfterMs ?? 1000) * 1.1 + 100);
    assert.deepEqual(texts(channel), ["hello"]);
  }
});

test("a channel of no room counts as pushed once it was, until the relay is lost", async () => {
  const { chat, clock, room, service } = chatRig();
  const direct = chat.channel("direct~p-a");
  room.become("connected");
  await clock.pass(1000);
  assert.equal(direct.state, "polling");
  const message = service.post({ author: "p-a", text: "hello" });
  room.push({ kind: "posted", message, tail: "t" }, "direct~p-a");
  await clock.pass(500);
  assert.equal(direct.state, "live");
  room.become("reconnecting");
  room.become("connected");
  await clock.pass(500);
  assert.equal(direct.state, "polling");
  assert.deepEqual(texts(direct), ["hello"]);
});

test("presence is told again and again, with the room while there is one", async () => {
  const { chat, clock, room, service } = await connected();
  await Promise.all([chat.setPresence("online"), clock.pass(100)]);
  assert.deepEqual(service.presence, { status: "online", room: "lobby" });
  const told = () => service.requests.filter((one) => one.startsWith("PUT /v1/chat/presence"));
  await clock.pass(10 * 60_000);
  assert.ok(told().length >= 9 && told().length <= 12, String(told().length));
  room.become("left");
  await clock.pass(70_000);
  assert.deepEqual(service.presence, { status: "online" });
  await Promise.all([chat.setPresence("offline"), clock.pass(100)]);
  const before = told().length;
  await clock.pass(300_000);
  assert.equal(told().length, before);
});

test("whoever is asked for has a status, one that is not known is offline", async () => {
  const { chat, clock } = await connected();
  const [statuses] = await Promise.all([chat.presence(["p-a", "p-b"]), clock.pass(100)]);
  assert.deepEqual([...statuses], [["p-a", "busy"], ["p-b", "offline"]]);
});

test("unread messages of a channel that is not open can be counted", async () => {
  const { chat, clock, service } = await connected();
  service.post({ author: "p-a", text: "one" });
  const [unread] = await Promise.all([chat.unread(["room~lobby~main"]), clock.pass(100)]);
  assert.deepEqual(unread, [{ channel: "room~lobby~main", last: 1, read: 0, unread: 1 }]);
});

test("a push that names only a number is fetched", async () => {
  const { channel, clock, room, relay, service } = await connected();
  relay.lose = 1;
  service.post({ author: "p-a", text: "long" });
  room.push({ kind: "fetch", seq: 1 });
  await clock.pass(500);
  assert.deepEqual(texts(channel), ["long"]);
  service.change(1, { text: "longer" });
  room.push({ kind: "fetch", seq: 1 });
  await clock.pass(500);
  assert.deepEqual(texts(channel), ["longer"]);
});

test("pushes that make no sense change nothing and ask for little", async () => {
  const { channel, clock, room, service } = await connected();
  service.post({ author: "p-a", text: "one" });
  await clock.pass(100);
  const before = service.requests.length;
  for (let n = 0; n < 2000; n += 1) {
    const seq = 10 + n * 7;
    room.push({ kind: "posted", message: { seq, version: 1, author: "p-x", text: "?" }, tail: "" });
    room.push({ kind: "typing", player: `p-${n}` });
    room.push({ kind: "reacted", seq: 1, player: `p-${n}`, reaction: `r${n}`, added: true });
  }
  await clock.pass(10_000);
  assert.deepEqual(texts(channel), ["one"]);
  assert.ok(service.requests.length - before < 20, String(service.requests.length - before));
  assert.ok((channel.messages[0]?.reactions.length ?? 0) <= 256);
});

test("news is what arrives, not what was there", async () => {
  const rig = chatRig();
  rig.service.post({ author: "p-a", text: "old" });
  const channel = rig.open();
  /** @type {(string | null)[]} */
  const news = [];
  channel.on("arrived", (messages) => news.push(...messages.map(({ text }) => text)));
  await rig.clock.pass(500);
  channel.send("mine");
  rig.service.post({ author: "p-a", text: "new" });
  await rig.clock.pass(2000);
  assert.deepEqual(news, ["new"]);
});

test("a player may do what the token says", async () => {
  const plain = await connected();
  assert.deepEqual(plain.channel.may, { write: true, moderate: false });
  const moderator = await connected({ permissions: ["chat", "moderate"] });
  assert.deepEqual(moderator.channel.may, { write: true, moderate: true });
  assert.equal(moderator.channel.self, "p-me");
});

test("a closed chat asks nothing any more and its timers end", async () => {
  const { chat, clock, service } = await connected();
  chat.close();
  const asked = service.requests.length;
  service.post({ author: "p-a", text: "hello" });
  await clock.pass(300_000);
  assert.equal(service.requests.length, asked);
});
