// Runs in the page, after reader.js: what a person sees and hears of a fault. Looks, strokes and voices are taken at each
// animation frame, after everything that the page painted in it. Times leave the page as Unix milliseconds.
(() => {
  'use strict';

  // --- the page's own peer connections ----------------------------------------------------------------------------

  const peers = []; // the newest last; nothing of an ended one is looked at
  let count = 0;
  /** How the page came back, step by step, for whoever asks why it took so long: (time, what). Policy: oldest forgotten. */
  let steps = [];
  const step = (what) => {
    steps.push([performance.now(), what]);
    if (steps.length > 400) steps.shift();
  };
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...args) {
      super(...args);
      peers.push(this);
      while (peers.length > 3) peers.shift();
      count += 1;
      const name = `path ${count}`;
      step(`${name} made`);
      this.addEventListener('connectionstatechange', () => step(`${name} ${this.connectionState}`));
      this.addEventListener('iceconnectionstatechange', () => step(`${name} ice ${this.iceConnectionState}`));
      this.addEventListener('signalingstatechange', () => step(`${name} signaling ${this.signalingState}`));
      this.addEventListener('icecandidate', (e) => step(`${name} candidate ${e.candidate?.candidate.split(' ').slice(2, 6).join(' ') || 'end'}`));
    }

    restartIce() {
      step('ice restart');
      super.restartIce();
    }

    // `window.mediaPorts`: this page's way past the proxy that the server announces.
    setRemoteDescription(description) {
      const ports = window.mediaPorts;
      if (!ports || !description?.sdp) return super.setRemoteDescription(description);
      const sdp = description.sdp.replaceAll(` ${ports.from} typ `, ` ${ports.to} typ `);
      return super.setRemoteDescription({ type: description.type, sdp });
    }
  };

  const NativeSocket = window.WebSocket;
  window.WebSocket = class extends NativeSocket {
    constructor(...args) {
      super(...args);
      step('socket dialled');
      for (const what of ['open', 'close']) this.addEventListener(what, () => step(`socket ${what}`));
    }
  };

  // --- voices -----------------------------------------------------------------------------------------------------

  /** When the newest voice packet was played, on the browser's clock; 0: none yet. */
  function played() {
    let newest = 0;
    for (const receiver of peers.at(-1)?.getReceivers() ?? []) {
      if (receiver.track?.kind !== 'audio') continue;
      for (const source of receiver.getSynchronizationSources()) newest = Math.max(newest, source.timestamp);
    }
    return newest;
  }

  async function audio() {
    const sum = { concealedSamples: 0, totalSamplesReceived: 0, packetsReceived: 0, packetsLost: 0, totalAudioEnergy: 0 };
    const stats = (await peers.at(-1)?.getStats()) ?? new Map();
    for (const one of stats.values()) {
      if (one.type !== 'inbound-rtp' || one.kind !== 'audio') continue;
      for (const key of Object.keys(sum)) sum[key] += one[key] ?? 0;
    }
    return sum;
  }

  /** What the newest path goes by. */
  async function carrier() {
    const stats = (await peers.at(-1)?.getStats()) ?? new Map();
    const pair = [...stats.values()].find((one) => one.type === 'transport' && one.selectedCandidatePairId);
    return stats.get(stats.get(pair?.selectedCandidatePairId)?.remoteCandidateId)?.protocol ?? 'none';
  }

  // --- a run ------------------------------------------------------------------------------------------------------

  let run = null;
  function note(list, now, value) {
    if (list.at(-1)?.[1] !== value) list.push([now, value]);
  }
  // `frozen` is the mentor's own wish: what he sees of the line then is the live picture beside it.
  const shows = (id) => document.querySelector(`[data-testid=${id}]`)?.dataset.look;
  const look = () => {
    const large = shows('stage') ?? 'none';
    return large === 'frozen' ? (shows('beside-program') ?? 'live') : large;
  };
  const line = () => document.querySelector('[data-testid=telephone]')?.dataset.line ?? 'none';
  const strokes = () => window.shirube?.ink.strokes() ?? [];

  window.glass.afterPaint(() => {
    if (run === null) return;
    const now = performance.now();
    note(run.looks, now, look());
    note(run.lines, now, line());
    note(run.strokes, now, strokes().length);
    const newest = played();
    if (newest > run.heard) {
      run.heard = newest;
      run.voice.push(now);
    }
  });

  /** All of `places` when ink stands on the picture or beside it on its own frame, else 0: ink goes with the tissue, and doubt has gaps, so that single places tell nothing. */
  function inked(places) {
    const glass = document.querySelector('[data-testid=glass]');
    const canvases = [...(glass?.querySelectorAll('canvas.ink') ?? [])].filter((c) => !c.hidden && c.width > 0 && c.height > 0);
    const stands = canvases.some((c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v, i) => i % 4 === 3 && v > 0));
    return stands || document.querySelector('[data-testid=lost-inset]') !== null ? places.length : 0;
  }

  /** The page's case time before the machine's date, ms: two pages of one machine that differ disagree on what was first. */
  function clockMs() {
    const ntp = window.shirube?.clock.now();
    return typeof ntp === 'bigint' ? Math.round((Number(ntp >> 32n) - 2_208_988_800) * 1_000 + Number(ntp & 0xffff_ffffn) / 4_294_967.296 - performance.timeOrigin - performance.now()) : null;
  }

  window.faults = {
    inked,
    /** What stands on the page now. */
    now: (places = []) => ({ clockMs: clockMs(), look: look(), line: line(), strokes: strokes().length, unacknowledged: window.shirube?.ink.unacknowledged() ?? -1, inked: inked(places) }),
    played,
    /** What the server has told this page to be on disk: ops of its own up to `seq`, and all ops up to `applied`. */
    kept: () => ({ ...window.shirube.ink.acknowledged(), applied: Number(window.shirube.ink.applied()) }),
    async start() {
      window.glass.start();
      steps = [];
      run = { looks: [], lines: [], strokes: [], voice: [], heard: played(), peer: peers.at(-1), audio: await audio() };
    },
    /** Pictures captured after `unixMs` that were shown. */
    picturesAfter: (unixMs) => window.glass.pictures().filter(([, captured]) => captured > unixMs).length,
    /** Animation frames after `unixMs` since whose predecessor a voice packet was played. */
    voicesAfter: (unixMs) => run?.voice.filter((t) => t + performance.timeOrigin > unixMs).length ?? 0,
    async stop() {
      const done = run;
      run = null;
      const pictures = window.glass.pictures();
      const after = await audio();
      const { offset } = window.glass.calibrate();
      window.glass.stop();
      const unix = (list) => list.map(([t, value]) => [t + offset, value]);
      // Another path counts from nothing.
      const gained = (key) => after[key] - (done.peer === peers.at(-1) ? done.audio[key] : 0);
      return {
        looks: unix(done.looks),
        lines: unix(done.lines),
        strokesSeen: unix(done.strokes),
        pictures,
        voice: done.voice.map((t) => t + offset),
        carrier: await carrier(),
        steps: unix(steps),
        samePath: done.peer === peers.at(-1),
        concealedMs: gained('concealedSamples') / 48,
        voiceMs: gained('totalSamplesReceived') / 48,
        voicePackets: gained('packetsReceived'),
        voiceEnergy: gained('totalAudioEnergy'),
        strokes: strokes().map((s) => ({ author: s.author, epoch: s.epoch, number: s.number, points: s.points.length, phase: s.phase })),
        tab: sessionStorage.getItem('shirube.id') ?? '',
        ...window.faults.kept(),
      };
    },
  };
})();
