// What a person reads when something did not work.

import { problemText, VoiceError } from "/sdk/index.js";

/**
 * @param {unknown} error
 * @param {readonly string[]} languages
 */
export function faultWords(error, languages) {
  return problemText(error instanceof VoiceError ? error : { problem: "" }, languages);
}
