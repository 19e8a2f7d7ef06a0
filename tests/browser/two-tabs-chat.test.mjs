import assert from "node:assert/strict";
import { inState, rig, scenario, textOf, until } from "./support/scenario.mjs";
import { chatIs, choose, click, enterChat, openMenu, pick, say, sayAll } from "./support/chat.mjs";
import { PHONE, shows, texts, unplug } from "./support/chat.mjs";

/** Nothing that a page complained about. */
function noFaults(...pages) {
  assert.deepEqual(pages.flatMap((page) => page.faults), []);
}

scenario("what one tab writes the other reads, by the relay's push", async (stage) => {
  const ann = await enterChat(stage, "Ann");
  const bob = await enterChat(stage, "Bob");
  const asked = [];
  bob.on("request", (request) => {
    asked.push(`${request.method()} ${new URL(request.url()).pathname}`);
  });
  await sayAll(ann, ["Hello", "¿Qué tal? שלום 👩‍👩‍👧"]);
  await shows(bob, ["Hello", "¿Qué tal? שלום 👩‍👩‍👧"]);
  const history = asked.filter((one) => one.startsWith("GET") && one.endsWith("/messages"));
  assert.deepEqual(history, [], "nothing had to be fetched");

  await bob.focus("#message");
  await bob.keyboard.type("I am");
  await until(ann, () => document.querySelector("#typing").textContent === "Bob is typing");
  await bob.keyboard.press("Enter");
  await shows(ann, ["Hello", "¿Qué tal? שלום 👩‍👩‍👧", "I am"]);
  assert.equal(await textOf(ann, "#typing"), "");
  noFaults(ann, bob);
});

scenario("Firefox and Chromium chat with each other", async (stage) => {
  const ann = await enterChat(stage, "Ann", { kind: "firefox" });
  const bob = await enterChat(stage, "Bob");
  await sayAll(ann, ["Hello from the fox"]);
  await shows(bob, ["Hello from the fox"]);
  await choose(bob, "Hello from the fox", "Reply");
  await say(bob, "Hello, fox");
  await shows(ann, ["Hello from the fox", "Hello, fox"]);
  await choose(ann, "Hello, fox", "👍");
  await until(bob, () => document.querySelector(".reaction")?.textContent === "👍 1");
  noFaults(ann, bob);
});

scenario("reactions, an answer, an edit and a deletion reach the other tab", async (stage) => {
  const ann = await enterChat(stage, "Ann");
  const bob = await enterChat(stage, "Bob");
  await sayAll(ann, ["first", "second"]);
  await shows(bob, ["first", "second"]);

  await choose(bob, "first", "👍");
  await until(ann, () => document.querySelector(".reaction")?.textContent === "👍 1");
  await choose(bob, "first", "Reply");
  await say(bob, "an answer");
  await until(ann, () => document.querySelector(".quote")?.textContent === "Ann: first");

  await ann.focus("#message");
  await ann.keyboard.press("ArrowUp");
  await ann.keyboard.type(", edited");
  await ann.keyboard.press("Enter");
  await shows(bob, ["first", "second, edited", "an answer"]);
  await choose(ann, "first", "Delete");
  await shows(bob, ["This message was deleted.", "second, edited", "an answer"]);
  assert.equal(await bob.$(".reaction"), null);
  noFaults(ann, bob);
});

scenario("offline and back: exactly what was missed, in order, once", async (stage) => {
  const ann = await enterChat(stage, "Ann");
  const bob = await enterChat(stage, "Bob");
  await sayAll(ann, ["one", "two", "three"]);
  await shows(bob, ["one", "two", "three"]);

  await unplug(bob);
  await say(bob, "from far away");
  await shows(bob, ["one", "two", "three", "from far away"]);
  await sayAll(ann, ["four", "five"]);
  await choose(ann, "two", "Edit");
  await ann.keyboard.type("!");
  await ann.keyboard.press("Enter");
  await choose(ann, "three", "Delete");
  const gone = "This message was deleted.";
  await shows(ann, ["one", "two!", gone, "four", "five"]);
  assert.deepEqual(await texts(bob), ["one", "two", "three", "from far away"]);

  // Every list that a person could see on the way must have each text once.
  await bob.evaluate(() => {
    globalThis.doubled = [];
    new MutationObserver(() => {
      const all = [...document.querySelectorAll("#messages .text")].map((one) => one.textContent);
      if (new Set(all).size < all.length) globalThis.doubled.push(all);
    }).observe(document.querySelector("#messages"), { childList: true, subtree: true });
  });
  await bob.setOfflineMode(false);
  const missed = ["one", "two!", gone, "four", "five", "from far away"];
  await Promise.all([shows(bob, missed), shows(ann, missed)]);
  assert.deepEqual(await bob.evaluate(() => globalThis.doubled), []);

  await inState(bob, "connected");
  await chatIs(bob, "live");
  await sayAll(ann, ["six"]);
  await shows(bob, [...missed, "six"]);
  noFaults(ann, bob);
});

scenario("the chat goes on while there is no relay", async (stage) => {
  const ann = await enterChat(stage, "Ann");
  const bob = await enterChat(stage, "Bob");
  await rig("kill-relay");
  try {
    await Promise.all([chatIs(ann, "polling"), chatIs(bob, "polling")]);
    await sayAll(ann, ["Where did everybody go?"]);
    await shows(bob, ["Where did everybody go?"]);
  } finally {
    await rig("start-relay");
  }
  await Promise.all([chatIs(ann, "live"), chatIs(bob, "live")]);
  await sayAll(bob, ["Here we are."]);
  await shows(ann, ["Where did everybody go?", "Here we are."]);
  noFaults(ann, bob);
});

scenario("unread messages are counted until they are seen, on a telephone too", async (stage) => {
  const ann = await enterChat(stage, "Ann");
  const bob = await enterChat(stage, "Bob", { viewport: PHONE });
  await sayAll(ann, ["one", "two"]);
  const counts = (wanted) => document.querySelector("#unread").textContent === wanted;
  await until(bob, counts, ["2"], { what: "two unread" });
  assert.match(await bob.title(), /^\(2\) /);
  const name = await bob.$eval("#view-chat", (button) => button.ariaLabel);
  assert.equal(name, "Chat, 2 unread messages");

  await click(bob, "#view-chat");
  await until(bob, () => document.querySelector("#unread").hidden, [], { what: "nothing unread" });
  const lines = await bob.$$eval("#messages > li", (all) => all.map((one) => one.className));
  assert.deepEqual(lines, ["divider", "message", "message"], "a line above what was new");
  const width = await bob.evaluate(() => document.documentElement.scrollWidth);
  assert.equal(width, PHONE.width, "nothing is wider than the screen");

  // The marker is the player's, not the page's: away and back, only what came meanwhile is unread.
  await bob.waitForNetworkIdle({ idleTime: 1000 });
  await click(bob, "#view-people");
  await click(bob, "#leave");
  await until(bob, () => !document.querySelector("#join-form").hidden);
  await sayAll(ann, ["three"]);
  await click(bob, "#join-form button[type=submit]");
  await inState(bob, "connected");
  await until(bob, counts, ["1"], { what: "one unread" });
  noFaults(ann, bob);
});

scenario("a moderator deletes, mutes and locks; others cannot", async (stage) => {
  const ann = await enterChat(stage, "Ann", { moderator: true });
  const bob = await enterChat(stage, "Bob");
  await sayAll(bob, ["something rude"]);
  await shows(ann, ["something rude"]);
  await choose(ann, "something rude", "Delete");
  const removed = "A moderator removed this message.";
  await Promise.all([shows(bob, [removed]), shows(ann, [removed])]);

  await sayAll(ann, ["Be kind."]);
  await shows(bob, [removed, "Be kind."]);
  const allowed = await openMenu(bob, "Be kind.");
  assert.ok(!allowed.some((item) => /^(Delete|Edit|Mute|Unmute)/.test(item)), allowed.join());
  await bob.keyboard.press("Escape");
  assert.equal(await bob.$eval("#chat-menu", (button) => button.checkVisibility()), false);

  await choose(ann, removed, "Mute Bob for 10 minutes");
  await until(ann, () => /Bob is muted/.test(document.querySelector("#announcer").textContent));
  await say(bob, "more of it");
  await until(bob, () => /Not sent\. A moderator has muted you\. 10 minutes to go\./.test(
    document.querySelector(".delivery")?.textContent ?? "",
  ), [], { what: "the reason" });
  await choose(ann, removed, "Unmute Bob");
  await ann.waitForNetworkIdle();
  await choose(bob, "more of it", "Try again");
  await shows(ann, [removed, "Be kind.", "more of it"]);

  await click(ann, "#chat-menu");
  await pick(ann, "Moderate this chat");
  await ann.waitForSelector("#moderation[open]");
  await click(ann, "#locked");
  await click(ann, "#moderation-form button[type=submit]");
  const locked = () => document.querySelector("#message").disabled;
  await until(bob, locked, [], { what: "a locked chat" });
  assert.match(await textOf(bob, "#chat-notice"), /locked/);
  await sayAll(ann, ["Quiet now."]);
  noFaults(ann, bob);
});

scenario("a blocked player's messages do not show, and come back with the block", async (stage) => {
  const ann = await enterChat(stage, "Ann");
  const bob = await enterChat(stage, "Bob");
  const cid = await enterChat(stage, "Cid");
  await sayAll(ann, ["buy my gold"]);
  await shows(bob, ["buy my gold"]);
  await choose(bob, "buy my gold", "Block Ann");
  await shows(bob, []);
  await sayAll(ann, ["cheap gold"]);
  await shows(cid, ["buy my gold", "cheap gold"]);
  await sayAll(cid, ["What gold?"]);
  await shows(bob, ["What gold?"]);

  await click(bob, "#chat-menu");
  await pick(bob, "Unblock Ann");
  await shows(bob, ["buy my gold", "cheap gold", "What gold?"]);
  noFaults(ann, bob, cid);
});

scenario("a report reaches the moderators with the message", async (stage) => {
  const ann = await enterChat(stage, "Ann", { moderator: true });
  const bob = await enterChat(stage, "Bob");
  const cid = await enterChat(stage, "Cid");
  await sayAll(cid, ["something rude"]);
  await shows(bob, ["something rude"]);
  await choose(bob, "something rude", "Report");
  await bob.waitForSelector("#report[open]");
  await bob.type("#report-reason", "It is rude.");
  await click(bob, "#report-form button[type=submit]");
  await until(bob, () => !document.querySelector("#report").open, [], { what: "a sent report" });
  await click(ann, "#chat-menu");
  await pick(ann, "Moderate this chat");
  await until(ann, () => {
    const report = document.querySelector("#reports li")?.textContent ?? "";
    return report.includes("Cid: something rude") && report.includes("It is rude.");
  }, [], { what: "the report" });
  noFaults(ann, bob, cid);
});

scenario("a script in a message, a name or a reaction stays text", async (stage) => {
  const attack = "<img src=x onerror=\"globalThis.hacked=1\"><script>globalThis.hacked=1</script>";
  const ann = await enterChat(stage, "<b onclick=x>Ann");
  const bob = await enterChat(stage, "Bob");
  await sayAll(ann, [attack]);
  await shows(bob, [attack]);
  await choose(bob, attack, "Reply");
  await say(bob, "<i>no</i>");
  await shows(ann, [attack, "<i>no</i>"]);
  for (const page of [ann, bob]) {
    const found = await page.evaluate(() => {
      const foreign = document.querySelectorAll("#chat :is(img, script, b, i, a, iframe)").length;
      return { foreign, hacked: globalThis.hacked ?? null };
    });
    assert.deepEqual(found, { foreign: 0, hacked: null });
  }
  assert.equal(await textOf(bob, ".head strong"), "<b onclick=x>Ann");
  noFaults(ann, bob);
});

scenario("the chat by keyboard alone, and said aloud", async (stage) => {
  const ann = await enterChat(stage, "Ann");
  const bob = await enterChat(stage, "Bob");
  await sayAll(bob, ["one", "two"]);
  await shows(ann, ["one", "two"]);
  const said = () => /Bob: two/.test(document.querySelector("#announcer").textContent);
  await until(ann, said, [], { what: "the message said aloud" });
  assert.equal(await ann.$eval("#announcer", (region) => region.ariaLive), "polite");

  await ann.focus("#leave");
  const focused = () => ann.evaluate(() => {
    const { activeElement: element } = document;
    return element.querySelector(".text")?.textContent ?? element.id ?? "";
  });
  const press = async (key) => {
    await ann.keyboard.press(key);
    return await focused();
  };
  assert.equal(await press("Tab"), "two", "one stop for the whole list, at its end");
  assert.equal(await press("ArrowUp"), "one");
  await ann.keyboard.press("Enter");
  const item = () => ann.evaluate(() => document.activeElement.getAttribute("aria-label"));
  assert.equal(await item(), "React: thumbs up");
  assert.equal(await press("Escape"), "one");
  await ann.keyboard.press("Tab");
  assert.equal(await press("Tab"), "message");
  await ann.keyboard.type("three");
  await ann.keyboard.press("Enter");
  await shows(bob, ["one", "two", "three"]);
  noFaults(ann, bob);
});
