// Sound out and the level of sound in: one AudioContext for a whole room.
//
// slot track -> gain of the slot -> master gain (deafen) -> output

import { levelOf } from "./level.js";

/** Time constant of every change of volume: fast, without a click. */
const RAMP_S = 0.015;
/** Samples per level reading; 43 ms at 48 kHz. */
const METER_SAMPLES = 2048;

/**
 * @typedef {{ setGains: (gains: number[]) => void, streams: MediaStream[], close: () => void }}
 *   SlotOutput
 */

export class Playback {
  #context;
  #master;
  #analyser;
  #samples = new Float32Array(METER_SAMPLES);
  #input = /** @type {MediaStreamAudioSourceNode | null} */ (null);
  #relayElement = /** @type {HTMLAudioElement | null} */ (null);
  #closed = false;

  /** @param {() => void} onChange called when `needsGesture` may have changed */
  constructor(onChange) {
    this.#context = new AudioContext({ latencyHint: "interactive" });
    this.#master = this.#context.createGain();
    this.#master.connect(this.#context.destination);
    this.#analyser = this.#context.createAnalyser();
    this.#analyser.fftSize = METER_SAMPLES;
    this.#context.onstatechange = onChange;
    this.resume();
  }

  /** The browser plays nothing until the person did something on the page. */
  get needsGesture() {
    return !this.#closed && this.#context.state !== "running";
  }

  /** Call it in a click or key handler when `needsGesture` is true. */
  async resume() {
    if (!this.#closed) await this.#context.resume().catch(() => {});
    await this.#relayElement?.play().catch(() => {});
  }

  /**
   * Plays one track per slot.
   *
   * @param {MediaStreamTrack[]} tracks
   * @returns {SlotOutput}
   */
  attach(tracks) {
    const slots = tracks.map((track) => this.#attachTrack(track));
    return {
      streams: slots.map((slot) => slot.stream),
      setGains: (gains) => {
        slots.forEach((slot, index) => this.#ramp(slot.gain, gains[index] ?? 1));
      },
      close: () => {
        for (const { element, source, gain } of slots) {
          element.srcObject = null;
          source.disconnect();
          gain.disconnect();
        }
      },
    };
  }

  /** @param {MediaStreamTrack} track */
  #attachTrack(track) {
    const stream = new MediaStream([track]);
    // Chromium decodes a remote track only while a media element holds it; muted, because the
    // sound takes the way through the graph.
    const element = new Audio();
    element.muted = true;
    element.srcObject = stream;
    element.play().catch(() => {});
    const source = this.#context.createMediaStreamSource(stream);
    const gain = this.#context.createGain();
    source.connect(gain).connect(this.#master);
    return { stream, element, source, gain };
  }

  /** @param {boolean} silent */
  setSilent(silent) {
    this.#ramp(this.#master, silent ? 0 : 1);
  }

  /**
   * @param {GainNode} node
   * @param {number} value
   */
  #ramp(node, value) {
    if (!this.#closed) node.gain.setTargetAtTime(value, this.#context.currentTime, RAMP_S);
  }

  /**
   * The microphone whose level `level()` tells.
   *
   * @param {MediaStreamTrack | null} track
   */
  setInput(track) {
    this.#input?.disconnect();
    this.#input = null;
    if (!track || this.#closed) return;
    try {
      this.#input = this.#context.createMediaStreamSource(new MediaStream([track]));
      this.#input.connect(this.#analyser);
    } catch {
      // Firefox refuses a microphone whose sample rate is not the context's: no meter, but voice.
    }
  }

  /** The microphone's level, 0 to 1. */
  level() {
    if (!this.#input) return 0;
    this.#analyser.getFloatTimeDomainData(this.#samples);
    return levelOf(this.#samples);
  }

  /**
   * @param {string} deviceId "" for the system's choice
   */
  async setOutput(deviceId) {
    const context = /** @type {AudioContext & { setSinkId?: (id: string) => Promise<void> }} */ (
      this.#context
    );
    if (context.setSinkId) return context.setSinkId(deviceId);
    // Firefox moves only media elements to another output: let one play the mix.
    if (!this.#relayElement) {
      const mix = this.#context.createMediaStreamDestination();
      this.#relayElement = new Audio();
      this.#relayElement.srcObject = mix.stream;
      this.#master.disconnect();
      this.#master.connect(mix);
      await this.#relayElement.play().catch(() => {});
    }
    await this.#relayElement.setSinkId(deviceId);
  }

  async close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.onstatechange = null;
    this.#input?.disconnect();
    this.#input = null;
    if (this.#relayElement) this.#relayElement.srcObject = null;
    await this.#context.close().catch(() => {});
  }
}

/** Whether this browser can play on a chosen output. */
export function canChooseOutput() {
  return "setSinkId" in AudioContext.prototype || "setSinkId" in HTMLMediaElement.prototype;
}
