// The dialogs of order: a report for everybody, settings and reports of the channel for those who
// moderate.

/** @import { ChatChannel, ChatMessage } from "/sdk/index.js" */

import { announce } from "./announcer.js";
import { authorOf, contentOf, snippet } from "./chat-words.js";
import { byId, make, say, showFault } from "./dom.js";
import { faultWords } from "./faults.js";

export class Moderation {
  #report = byId("report", HTMLDialogElement);
  #reason = byId("report-reason", HTMLTextAreaElement);
  #dialog = byId("moderation", HTMLDialogElement);
  #locked = byId("locked", HTMLInputElement);
  #slow = byId("slow", HTMLSelectElement);
  #languages;
  #channel = /** @type {ChatChannel | null} */ (null);
  #reported = /** @type {ChatMessage | null} */ (null);

  /** @param {readonly string[]} languages */
  constructor(languages) {
    this.#languages = languages;
    byId("report-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#sendReport();
    });
    byId("report-cancel").addEventListener("click", () => this.#report.close());
    byId("moderation-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#apply();
    });
    byId("moderation-cancel").addEventListener("click", () => this.#dialog.close());
  }

  /**
   * @param {ChatChannel} channel
   * @param {ChatMessage} message
   */
  openReport(channel, message) {
    this.#channel = channel;
    this.#reported = message;
    this.#reason.value = "";
    showFault(this.#reason, byId("report-fault"), "");
    const words = snippet(contentOf(message, this.#languages));
    say(byId("report-what"), `${authorOf(message)}: ${words}`);
    this.#report.showModal();
  }

  async #sendReport() {
    const seq = this.#reported?.seq;
    if (!this.#channel || !seq) return;
    try {
      await this.#channel.report(seq, this.#reason.value.trim());
      this.#report.close();
      announce("Reported to the moderators.");
    } catch (error) {
      showFault(this.#reason, byId("report-fault"), this.#words(error));
    }
  }

  /** @param {ChatChannel} channel */
  async openSettings(channel) {
    this.#channel = channel;
    const { locked, slowS } = channel.settings;
    this.#locked.checked = locked;
    const known = [...this.#slow.options].some(({ value }) => value === String(slowS));
    if (!known) this.#slow.append(new Option(`${slowS} seconds`, String(slowS)));
    this.#slow.value = String(slowS);
    showFault(this.#slow, byId("moderation-fault"), "");
    byId("reports").replaceChildren();
    this.#dialog.showModal();
    await this.#showReports(channel);
  }

  /** @param {ChatChannel} channel */
  async #showReports(channel) {
    const list = byId("reports");
    try {
      const reports = await channel.reports();
      list.replaceChildren(...reports.map((report) => reportItem(report)));
      say(byId("reports-none"), reports.length === 0 ? "Nothing was reported." : "");
    } catch (error) {
      say(byId("reports-none"), this.#words(error));
    }
  }

  async #apply() {
    try {
      const slowS = Number(this.#slow.value);
      await this.#channel?.setSettings({ locked: this.#locked.checked, slowS });
      this.#dialog.close();
    } catch (error) {
      showFault(this.#slow, byId("moderation-fault"), this.#words(error));
    }
  }

  /** @param {unknown} error */
  #words(error) {
    return faultWords(error, this.#languages);
  }

  close() {
    this.#report.close();
    this.#dialog.close();
  }
}

/** @param {any} report as in the API's document */
function reportItem(report) {
  const item = make("li", "report");
  const about = report?.messages?.find?.((/** @type {any} */ one) => one?.seq === report.seq);
  const who = about?.name || about?.author || "Somebody";
  item.append(make("p", "", `${who}: ${snippet(String(about?.text ?? "(deleted)"))}`));
  if (report?.reason) item.append(make("p", "hint", `Reason: ${snippet(String(report.reason))}`));
  return item;
}
