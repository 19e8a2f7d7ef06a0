// What a test puts into a page before the page's own code runs. The product knows nothing of it.

/**
 * A microphone that plays a tone, and an ear at the loudspeaker: everything the page sends to an
 * AudioContext's destination is measured, so a test hears what a person would.
 *
 * Runs in the page.
 *
 * @param {{ tone: number | null }} options tone in Hz; null leaves the browser's microphone alone
 */
export function installEars({ tone }) {
  const ears = [];
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (destination, ...rest) {
    if (destination instanceof AudioDestinationNode) {
      const ear = new AnalyserNode(this.context, { fftSize: 8192, smoothingTimeConstant: 0 });
      connect.call(this, ear);
      ears.push(ear);
    }
    return connect.call(this, destination, ...rest);
  };

  /** The loudness at a frequency in dB, minus infinity when nothing plays. */
  globalThis.heardDecibels = (frequency) => {
    let loudest = -Infinity;
    for (const ear of ears) {
      if (ear.context.state !== "running") continue;
      const bins = new Float32Array(ear.frequencyBinCount);
      ear.getFloatFrequencyData(bins);
      const middle = Math.round((frequency * ear.fftSize) / ear.context.sampleRate);
      for (let bin = middle - 2; bin <= middle + 2; bin += 1) {
        loudest = Math.max(loudest, bins[bin]);
      }
    }
    return loudest;
  };

  /** The longest pause in what was played lately, in ms; the last 170 ms are looked at. */
  globalThis.longestPause = () => {
    let longest = Infinity;
    for (const ear of ears) {
      if (ear.context.state !== "running") continue;
      const samples = new Float32Array(ear.fftSize);
      ear.getFloatTimeDomainData(samples);
      let run = 0;
      let most = 0;
      for (const sample of samples) {
        run = Math.abs(sample) < 0.001 ? run + 1 : 0;
        most = Math.max(most, run);
      }
      longest = Math.min(longest, (most / ear.context.sampleRate) * 1000);
    }
    return longest;
  };

  if (tone === null || !navigator.mediaDevices) return;
  globalThis.microphoneRequests = 0;
  const capture = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (constraints) => {
    globalThis.microphoneRequests += 1;
    // Firefox offers loopback candidates, which the tests need, only to a page that captures from
    // a device that is not fake: the null sink of the tests' sound card.
    globalThis.captured = await capture(constraints);
    const context = new AudioContext();
    await context.resume();
    const voice = new OscillatorNode(context, { frequency: tone });
    // Speech swells and fades; a steady tone is noise to Opus, which would send nothing of it.
    const swell = new OscillatorNode(context, { frequency: 3 });
    const depth = new GainNode(context, { gain: 0.2 });
    const volume = new GainNode(context, { gain: 0.25 });
    const sink = new MediaStreamAudioDestinationNode(context);
    swell.connect(depth).connect(volume.gain);
    voice.connect(volume).connect(sink);
    voice.start();
    swell.start();
    return sink.stream;
  };
}

/** Keeps the page's peer connections, for their statistics. Runs in the page. */
export function rememberPeers() {
  const peers = [];
  const Native = RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Native {
    constructor(...options) {
      super(...options);
      peers.push(this);
    }
  };

  /** Statistics of the newest connection, by id. */
  globalThis.statsNow = async () => {
    const stats = new Map();
    (await peers.at(-1).getStats()).forEach((value) => stats.set(value.id, value));
    return stats;
  };

  /** The transport of the pair of candidates in use, "" while there is none. */
  globalThis.transportInUse = async () => {
    const stats = await statsNow();
    const used = [...stats.values()].find((value) => {
      return value.type === "candidate-pair" && value.nominated && value.state === "succeeded";
    });
    return stats.get(used?.remoteCandidateId)?.protocol ?? "";
  };

  /** What the microphone sends: packets, and payload bytes for each. */
  globalThis.sentVoice = async () => {
    const stats = await statsNow();
    const sent = [...stats.values()].find((value) => value.type === "outbound-rtp");
    return { packets: sent.packetsSent, bytes: sent.bytesSent / sent.packetsSent };
  };
}

/**
 * A network that has no UDP: the page does not learn of the relay's UDP addresses. Runs in the
 * page.
 */
export function removeUdp() {
  const accept = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    const lines = sdp.split("\r\n");
    const kept = lines.filter((line) => !/^a=candidate:\S+ 1 udp /i.test(line));
    return accept.call(this, { type, sdp: kept.join("\r\n") });
  };
}
