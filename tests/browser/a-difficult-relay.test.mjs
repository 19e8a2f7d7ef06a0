// What a good relay seldom does, played by one inside the page: the SDK and the page must cope.

import assert from "node:assert/strict";
import {
  hears,
  hearsNothingOf,
  inState,
  join,
  scenario,
  submit,
  textOf,
  until,
} from "./support/scenario.mjs";

const OWN = 440;
const ANN = { id: 2, player: "p-ann", name: "Ann", tone: 880 };
const BOB = { id: 3, player: "p-bob", name: "Bob", tone: 1320 };

/** A page in a room with these people. */
async function inRoomWith(open, room, others, more = {}) {
  const page = await open({ tone: OWN, fakeRelay: true, ...more });
  await page.evaluate((list) => Object.assign(fakeRelay, { others: list }), others);
  await join(page, { name: "Me", room });
  return page;
}

/** Everything the client sent of one type. */
function said(page, type) {
  return page.evaluate((wanted) => fakeRelay.heard(wanted), type);
}

for (const kind of ["chromium", "firefox"]) {
  scenario(`${kind}: says hello first, then pings; hears its slots`, async ({ open, room }) => {
    const page = await inRoomWith(open, room, [ANN], { kind });
    await hears(page, ANN.tone, OWN);
    await until(page, () => fakeRelay.heard("ping").length >= 4);
    const types = await page.evaluate(() => fakeRelay.sessions[0].heard.map(({ type }) => type));
    assert.equal(types[0], "hello");
    assert.deepEqual(await said(page, "hello"), [{ type: "hello", sealed: "c2VhbGVk" }]);
    assert.equal(await page.evaluate(() => fakeRelay.joins), 1);
    assert.deepEqual(page.faults, []);
  });

  scenario(`${kind}: deafen, mute and volume act at once`, async ({ open, room }) => {
    const page = await inRoomWith(open, room, [ANN, BOB], { kind });
    await hears(page, ANN.tone, OWN);
    await hears(page, BOB.tone, OWN);

    await page.$eval("[data-player=p-ann] input", (slider) => {
      slider.value = "0";
      slider.dispatchEvent(new Event("input"));
    });
    await hears(page, BOB.tone, ANN.tone);

    await page.click("#deafen");
    await hearsNothingOf(page, BOB.tone);
    await page.click("#mute");
    await until(page, () => document.querySelector("#meter").ariaValueNow === "0");
    assert.deepEqual(await said(page, "state"), [
      { type: "state", muted: false, deafened: true },
      { type: "state", muted: true, deafened: true },
    ]);
    await page.click("#deafen");
    await hears(page, BOB.tone, ANN.tone);
  });

  scenario(`${kind}: a silent relay is left for a new join, by itself`, async ({ open, room }) => {
    const page = await inRoomWith(open, room, [ANN], { kind });
    await page.click("#mute");
    await page.evaluate(() => Object.assign(fakeRelay, { alive: false }));
    await inState(page, "reconnecting");
    assert.equal(await page.$eval("#banner", (banner) => banner.hidden), false);
    await page.evaluate(() => Object.assign(fakeRelay, { alive: true }));
    await inState(page, "connected");
    await hears(page, ANN.tone, OWN);
    // Muted before, muted after: the new relay is told without being asked.
    const states = await page.evaluate(() => {
      return fakeRelay.sessions.at(-1).heard.filter(({ type }) => type === "state");
    });
    assert.deepEqual(states, [{ type: "state", muted: true, deafened: false }]);
    assert.equal(await page.$eval("#mute", (button) => button.ariaPressed), "true");
  });

  scenario(`${kind}: a move to another relay has no gap`, async ({ open, room }) => {
    const page = await inRoomWith(open, room, [ANN], { kind });
    await hears(page, ANN.tone, OWN);
    // The silence before her first word must be out of the window that is measured.
    await until(page, () => longestPause() < 5);
    await page.evaluate(() => {
      globalThis.longestGap = 0;
      setInterval(() => {
        globalThis.longestGap = Math.max(globalThis.longestGap, longestPause());
      }, 50);
      fakeRelay.say({ type: "migrate" });
    });
    await until(page, () => fakeRelay.sessions.length === 2);
    await until(page, () => fakeRelay.sessions[0].heard.some(({ type }) => type === "leave"));
    // Long enough for two pings on the new connection: it stays.
    await until(page, () => {
      return fakeRelay.sessions[1].heard.filter(({ type }) => type === "ping").length > 2;
    });
    assert.equal(await page.evaluate(() => fakeRelay.joins), 2);
    await hears(page, ANN.tone, OWN);
    const gap = await page.evaluate(() => longestGap);
    console.log(`${kind}: longest gap ${Math.round(gap)} ms`);
    assert.ok(gap < 100, `a gap of ${Math.round(gap)} ms`);
    assert.equal(await page.$eval("#room", (section) => section.dataset.state), "connected");
  });
}

scenario("during a move, who is still on the old relay is still heard", async ({ open, room }) => {
  const page = await inRoomWith(open, room, [ANN, BOB]);
  await hears(page, BOB.tone, OWN);
  await page.evaluate((ann) => {
    fakeRelay.others = [ann];
    fakeRelay.say({ type: "migrate" });
  }, ANN);
  await until(page, () => fakeRelay.heard("hello").length === 2);
  await hears(page, BOB.tone, OWN);
  await hears(page, ANN.tone, OWN);
  assert.equal(await textOf(page, "#count"), "3 people");
  // Bob arrives: the old connection has done its work.
  await page.evaluate((bob) => {
    const joined = [{ ...bob, channels: ["main"], muted: false, deafened: false, speaker: true }];
    fakeRelay.say({ type: "roster", joined, left: [], changed: [] });
  }, { id: BOB.id, player: BOB.player, name: BOB.name });
  await until(page, () => fakeRelay.sessions[0].heard.some(({ type }) => type === "leave"));
  assert.equal(await textOf(page, "#count"), "3 people");
});

for (const [reason, title] of [
  ["kicked", "You were removed from the room"],
  ["replaced", "You joined from somewhere else"],
]) {
  scenario(`${reason} is final`, async ({ open, room }) => {
    const page = await inRoomWith(open, room, [ANN]);
    await page.evaluate((why) => fakeRelay.say({ type: "ended", reason: why }), reason);
    await until(page, () => !document.querySelector("#refusal").hidden);
    assert.equal(await textOf(page, "#refusal-title"), title);
    assert.equal(await page.evaluate(() => fakeRelay.joins), 1);
    await hearsNothingOf(page, ANN.tone);
  });
}

scenario("a refusal on the way back ends the trying and is explained", async ({ open, room }) => {
  const page = await inRoomWith(open, room, [ANN]);
  await page.evaluate(() => {
    const type = "https://lifeverse.dev/problems/token-expired";
    fakeRelay.refusal = { type, title: "Token expired", status: 401, detail: "It ended at noon." };
    fakeRelay.die();
  });
  await until(page, () => !document.querySelector("#refusal").hidden);
  assert.equal(await textOf(page, "#refusal-title"), "Token expired");
  assert.equal(await textOf(page, "#refusal-detail"), "It ended at noon.");
  assert.equal(await page.evaluate(() => fakeRelay.joins), 2);
});

scenario("a denied microphone: the way in is to only listen", async ({ open, room }) => {
  const page = await open({ fakeRelay: true, tone: null });
  await page.evaluate((ann) => {
    fakeRelay.others = [ann];
    navigator.mediaDevices.getUserMedia = async () => {
      throw new DOMException("denied", "NotAllowedError");
    };
  }, ANN);
  await submit(page, { name: "Me", room });
  await until(page, () => !document.querySelector("#refusal").hidden);
  assert.equal(await textOf(page, "#refusal-title"), "The microphone is blocked");
  await page.click("#listen-instead");
  await inState(page, "connected");
  await hears(page, ANN.tone, OWN);
  assert.equal(await page.$eval("#mute", (button) => button.ariaPressed), "true");
  assert.deepEqual(await said(page, "state"), [{ type: "state", muted: true, deafened: false }]);
});

scenario("sound that needs a click gets one", async ({ open, room }) => {
  const page = await open({ fakeRelay: true, before: (fresh) => fresh.evaluateOnNewDocument(() => {
    // A browser that blocks sound: resume() waits until the person has clicked in the page.
    const resume = AudioContext.prototype.resume;
    const clicked = new Promise((resolve) => {
      const check = ({ target }) => target.id === "sound-on" && resolve();
      document.addEventListener("click", check, true);
    });
    AudioContext.prototype.resume = async function () {
      await clicked;
      return resume.call(this);
    };
    const state = Object.getOwnPropertyDescriptor(BaseAudioContext.prototype, "state");
    let open = false;
    clicked.then(() => (open = true));
    Object.defineProperty(BaseAudioContext.prototype, "state", {
      get() {
        return open ? state.get.call(this) : "suspended";
      },
    });
    navigator.mediaDevices.getUserMedia = async () => {
      throw new DOMException("absent", "NotFoundError");
    };
  }) });
  await submit(page, { name: "Me", room });
  await page.waitForSelector("#listen-instead:not([hidden])", { visible: true });
  await page.click("#listen-instead");
  await inState(page, "connected");
  await page.waitForSelector("#sound-on", { visible: true });
  await page.click("#sound-on");
  await until(page, () => document.querySelector("#banner").hidden);
});

scenario("leaving closes everything that was opened", async ({ open, room }) => {
  const page = await open({ fakeRelay: true, before: (fresh) => fresh.evaluateOnNewDocument(() => {
    // Counts what the page opens, from the moment the test starts to watch.
    globalThis.opened = { contexts: [], peers: [], tracks: [] };
    const Context = globalThis.AudioContext;
    globalThis.AudioContext = class extends Context {
      constructor(...options) {
        super(...options);
        if (globalThis.watching) globalThis.opened.contexts.push(this);
      }
    };
    const Peer = globalThis.RTCPeerConnection;
    globalThis.RTCPeerConnection = class extends Peer {
      createDataChannel(...options) {
        globalThis.opened.peers.push(this);
        return super.createDataChannel(...options);
      }
    };
  }) });
  await page.evaluate((ann) => {
    fakeRelay.others = [ann];
    const real = navigator.mediaDevices.getUserMedia;
    navigator.mediaDevices.getUserMedia = async (...options) => {
      globalThis.watching = false;
      const stream = await real(...options);
      opened.tracks.push(...stream.getTracks());
      return stream;
    };
    globalThis.watching = true;
  }, ANN);
  await join(page, { name: "Me", room });
  await hears(page, ANN.tone, OWN);
  await page.click("#leave");
  await page.waitForSelector("#join-form", { visible: true });
  await until(page, () => opened.peers.every((peer) => peer.connectionState === "closed"));
  await until(page, () => opened.contexts.every((context) => context.state === "closed"));
  const counts = await page.evaluate(() => ({
    peers: opened.peers.length,
    contexts: opened.contexts.length,
    tracks: opened.tracks.map((track) => track.readyState),
    leaves: fakeRelay.heard("leave").length,
  }));
  assert.deepEqual(counts, { peers: 1, contexts: 1, tracks: ["ended"], leaves: 1 });
});
