// A relay inside the page: it answers the join with a peer connection of the same page. It shows
// what the SDK and the page do when a relay does what a good one seldom does: falls silent,
// throws out, refuses, moves. Runs in the page.

export function installFakeRelay() {
  const tones = new Map();
  let audio = null;

  const relay = {
    joins: 0,
    /** When set, every join is answered with this problem. */
    refusal: null,
    /** When false, no session answers anything, not even connectivity checks. */
    alive: true,
    sessions: [],
    /** The people who are in the room besides the one who joins: { id, player, name, tone }. */
    others: [],
    say(message, session = relay.sessions.at(-1)) {
      session.channel.send(JSON.stringify(message));
    },
    /** Everything that the client said over the data channel, by type. */
    heard(type) {
      return relay.sessions.flatMap((session) => session.heard).filter((one) => one.type === type);
    },
    die() {
      relay.alive = false;
      for (const { peer } of relay.sessions) peer.close();
    },
  };
  globalThis.fakeRelay = relay;

  function track(frequency) {
    audio ??= new AudioContext();
    if (!tones.has(frequency)) {
      const sink = new MediaStreamAudioDestinationNode(audio);
      const volume = new GainNode(audio, { gain: frequency ? 0.3 : 0 });
      const voice = new OscillatorNode(audio, { frequency: frequency || 440 });
      voice.connect(volume).connect(sink);
      voice.start();
      tones.set(frequency, sink.stream.getAudioTracks()[0]);
    }
    return tones.get(frequency);
  }

  function person(id, { player, name, muted = false, deafened = false }) {
    return { id, player, name, channels: ["main"], muted, deafened, speaker: true };
  }

  function welcome(session, room) {
    const self = person(1, { player: "self", name: "Me" });
    const others = relay.others.map((other) => person(other.id, other));
    const participants = [self, ...others];
    const slots = session.slots;
    relay.say({ type: "welcome", participant: 1, room, slots, participants }, session);
    const map = relay.others.map(({ id }, slot) => ({ slot, participant: id })).slice(0, slots);
    relay.say({ type: "slots", slots: map }, session);
  }

  function handle(session, room, message) {
    session.heard.push(message);
    if (!relay.alive) return;
    if (message.type === "hello") welcome(session, room);
    if (message.type === "ping") relay.say({ type: "pong", id: message.id }, session);
    if (message.type === "leave") relay.say({ type: "ended", reason: "left" }, session);
    if (message.type === "state") {
      const { muted, deafened } = message;
      const changed = [person(1, { player: "self", name: "Me", muted, deafened })];
      relay.say({ type: "roster", joined: [], left: [], changed }, session);
    }
  }

  async function join(room, { offer }) {
    const peer = new RTCPeerConnection();
    const session = { peer, channel: null, heard: [], slots: 0 };
    relay.sessions.push(session);
    peer.ondatachannel = ({ channel }) => {
      session.channel = channel;
      channel.onmessage = ({ data }) => handle(session, room, JSON.parse(data));
    };
    await peer.setRemoteDescription({ type: "offer", sdp: offer });
    const slots = peer.getTransceivers().slice(1);
    session.slots = slots.length;
    await Promise.all(
      slots.map((slot, index) => {
        slot.direction = "sendonly";
        return slot.sender.replaceTrack(track(relay.others[index]?.tone ?? 0));
      }),
    );
    await peer.setLocalDescription();
    await new Promise((resolve) => {
      const check = () => peer.iceGatheringState === "complete" && resolve();
      peer.addEventListener("icegatheringstatechange", check);
      check();
    });
    const answer = peer.localDescription.sdp;
    if (!relay.alive) peer.close();
    return { session: "fake~1", answer, hello: "c2VhbGVk", region: "test", relay: "fake" };
  }

  const realFetch = globalThis.fetch.bind(globalThis);
  globalThis.fetch = async (input, init) => {
    const { pathname } = new URL(input, location.href);
    const path = /^\/v1\/rooms\/([^/]+)\/sessions$/.exec(pathname);
    if (pathname === "/dev/token") return Response.json({ token: "fake.fake.fake" });
    if (!path) return realFetch(input, init);
    relay.joins += 1;
    if (relay.refusal) {
      return Response.json(relay.refusal, { status: relay.refusal.status });
    }
    return Response.json(await join(path[1], JSON.parse(init.body)), { status: 201 });
  };
}
