// The microphone: asking for it, changing it, telling why it is not there.

import { VoiceError } from "./problem.js";

/** What browsers do well for speech. */
const PROCESSING = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/**
 * A device id, a track of the application's own (it is cloned, so the application keeps its own),
 * null for listening only, undefined for the default microphone.
 *
 * @typedef {string | MediaStreamTrack | null | undefined} MicrophoneChoice
 */

/**
 * @param {MicrophoneChoice} choice
 * @returns {Promise<MediaStreamTrack | null>} a track that the caller stops
 */
export async function openMicrophone(choice) {
  if (choice === null) return null;
  if (choice instanceof MediaStreamTrack) return choice.clone();
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new VoiceError(
      "not-supported",
      "This page may not use a microphone here. Open it over https in a current browser.",
    );
  }
  const deviceId = choice ? { deviceId: { exact: choice } } : {};
  try {
    const audio = { ...PROCESSING, ...deviceId };
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    return stream.getAudioTracks()[0] ?? null;
  } catch (cause) {
    throw microphoneError(cause);
  }
}

/**
 * @param {unknown} cause what getUserMedia threw
 * @returns {VoiceError}
 */
export function microphoneError(cause) {
  const name = cause instanceof Error ? cause.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") {
    const detail = "The browser was told not to give this page the microphone.";
    return new VoiceError("microphone-denied", detail, { cause });
  }
  if (name === "NotFoundError" || name === "OverconstrainedError") {
    const detail = "No such microphone is connected.";
    return new VoiceError("microphone-absent", detail, { cause });
  }
  const detail = "The microphone could not be opened. Another program may be using it.";
  return new VoiceError("microphone-busy", detail, { cause });
}

/**
 * The microphones to choose from. Names are empty until the microphone was allowed once.
 *
 * @returns {Promise<{ id: string, name: string }[]>}
 */
export function microphones() {
  return devices("audioinput");
}

/**
 * The loudspeakers and headphones to choose from; empty where the browser does not tell.
 *
 * @returns {Promise<{ id: string, name: string }[]>}
 */
export function outputs() {
  return devices("audiooutput");
}

/** @param {MediaDeviceKind} kind */
async function devices(kind) {
  const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return all
    .filter((device) => device.kind === kind && device.deviceId)
    .map((device) => ({ id: device.deviceId, name: device.label }));
}
