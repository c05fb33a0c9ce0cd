// The media path: one peer connection with fixed slots and data channels. Made whole, negotiated again only to find another
// way for it (ICE restart); when it is gone a new one is made.
import type { MediaFigures, StatsEntry } from '../core/media_stats';
import { byRelay, figuresOf } from '../core/media_stats';
import { CHANNEL, SLOTS_VOICE } from '../core/protocol';
import type { Welcome } from '../gen/signal_pb';

export interface PathEvents {
  /** The offer is ready to be sent. */
  offer(sdp: string): void;
  /** Tracks by slot, in the offer's order; each to be shown in a stream of its own. */
  tracks(video: readonly MediaStreamTrack[], voice: readonly MediaStreamTrack[]): void;
  channelOpen(name: keyof typeof CHANNEL): void;
  channelMessage(name: keyof typeof CHANNEL, bytes: Uint8Array): void;
  /** The path has ended and will not come back by itself. */
  end(): void;
}

/** Relays that this page may use where no UDP gets out. */
export const relaysOf = (welcome: Pick<Welcome, 'iceServers'> | null): RTCIceServer[] => (welcome?.iceServers ?? []).map(({ urls, username, credential }) => ({ urls, username, credential }));

export interface MediaPath {
  answer(sdp: string): Promise<void>;
  send(name: keyof typeof CHANNEL, bytes: Uint8Array<ArrayBuffer>): boolean;
  isOpen(name: keyof typeof CHANNEL): boolean;
  speak(track: MediaStreamTrack | null): Promise<void>;
  /** Nothing says that what is sent is lost. */
  stands(): boolean;
  figures(): Promise<MediaFigures>;
  /** Looks for another way to the server; all that goes over the path goes on. */
  restartIce(): void;
  /** Relays from now on. A path that goes by one looks for a way by these at once, before the names of before run out. */
  renewRelays(iceServers: readonly RTCIceServer[]): void;
  close(): void;
}

/** Bytes an unreliable channel may hold back before a newer packet is not added: the repeat brings it. Policy: drop_newest. */
const BUFFERED_MAX = 32_000;

export const canReceive = (): boolean => typeof RTCPeerConnection === 'function' && typeof RTCRtpReceiver === 'function';

/** `slots`: pictures that the page may show at once. */
export function openPath(events: PathEvents, slots: number, iceServers: readonly RTCIceServer[] = []): MediaPath {
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require', iceServers: [...iceServers] });
  let over = false;
  /** Another way is to be looked for as soon as the offer that is out has its answer. */
  let again = false;
  const end = (): void => {
    if (over) return;
    over = true;
    pc.close();
    events.end();
  };

  const video = Array.from({ length: slots }, () => pc.addTransceiver('video', { direction: 'recvonly' }));
  const voice = Array.from({ length: SLOTS_VOICE }, () => pc.addTransceiver('audio', { direction: 'recvonly' }));
  const own = pc.addTransceiver('audio', { direction: 'sendonly', streams: [new MediaStream()] });
  for (const transceiver of video) askForCaptureTime(transceiver);

  const channels = new Map<string, RTCDataChannel>();
  for (const name of ['ctl', 'ink', 'eph', 'vit'] as const) {
    const channel = pc.createDataChannel(name, name === 'ctl'
      ? { negotiated: true, id: CHANNEL[name], ordered: true }
      : { negotiated: true, id: CHANNEL[name], ordered: false, maxRetransmits: 0 });
    channel.binaryType = 'arraybuffer';
    channel.onopen = () => { if (!over) events.channelOpen(name); };
    channel.onmessage = (e: MessageEvent<unknown>) => { if (!over && e.data instanceof ArrayBuffer) events.channelMessage(name, new Uint8Array(e.data)); };
    channel.onclose = end;
    channels.set(name, channel);
  }
  pc.onconnectionstatechange = () => { if (pc.connectionState === 'failed' || pc.connectionState === 'closed') end(); };

  const offer = async (): Promise<void> => {
    await pc.setLocalDescription(await pc.createOffer());
    const sdp = pc.localDescription?.sdp;
    if (!over && sdp) events.offer(sdp);
  };
  offer().catch(end);

  const restartIce = (): void => {
    // One that waits for its answer is given its time, and then its end.
    if (over || pc.signalingState !== 'stable') return;
    pc.restartIce();
    offer().catch(end);
  };

  return {
    answer: async (sdp) => {
      try {
        const first = pc.currentRemoteDescription === null;
        await pc.setRemoteDescription({ type: 'answer', sdp });
        if (!over && first) events.tracks(video.map((t) => t.receiver.track), voice.map((t) => t.receiver.track));
        if (again) {
          again = false;
          restartIce();
        }
      } catch {
        end();
      }
    },
    send: (name, bytes) => {
      const channel = channels.get(name);
      if (channel?.readyState !== 'open' || channel.bufferedAmount > BUFFERED_MAX) return false;
      channel.send(bytes);
      return true;
    },
    isOpen: (name) => channels.get(name)?.readyState === 'open',
    speak: (track) => own.sender.replaceTrack(track),
    stands: () => pc.connectionState !== 'disconnected' && pc.connectionState !== 'failed',
    figures: async () => figuresOf((await pc.getStats()).values() as Iterable<StatsEntry>, video.map((t) => t.mid)),
    restartIce,
    renewRelays: (servers) => {
      if (over) return;
      pc.setConfiguration({ ...pc.getConfiguration(), iceServers: [...servers] });
      pc.getStats().then((stats) => {
        if (!byRelay(stats.values() as Iterable<StatsEntry>)) return;
        // The offer that is out was made with the names of before.
        if (pc.signalingState === 'stable') restartIce();
        else again = true;
      }, () => undefined);
    },
    close: () => { over = true; pc.close(); },
  };
}

interface HeaderExtension { uri: string; direction: string }
interface WithExtensions { getHeaderExtensionsToNegotiate?(): HeaderExtension[]; setHeaderExtensionsToNegotiate?(all: HeaderExtension[]): void }

/** Chromium knows abs-capture-time but starts it stopped. A cross-check only: the age is computed from the frame index. */
function askForCaptureTime(transceiver: RTCRtpTransceiver): void {
  const able = transceiver as RTCRtpTransceiver & WithExtensions;
  if (!able.getHeaderExtensionsToNegotiate || !able.setHeaderExtensionsToNegotiate) return;
  const all = able.getHeaderExtensionsToNegotiate();
  for (const one of all) if (one.uri.includes('abs-capture-time')) one.direction = 'sendrecv';
  able.setHeaderExtensionsToNegotiate(all);
}
