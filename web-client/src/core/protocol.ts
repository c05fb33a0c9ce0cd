// The wire at the door: bytes become a typed message or null, never an exception. Versions of every wire this page speaks.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { InkPacket } from '../gen/ink_pb';
import { InkPacketSchema } from '../gen/ink_pb';
import type { ClientMessage, ClientReport, Ctl, Eph, Pointer, ServerMessage, Vit } from '../gen/signal_pb';
import { ClientMessageSchema, ClientReportSchema, ClockPingSchema, CtlSchema, EphSchema, Role, ServerMessageSchema, TrackReportSchema, VitSchema } from '../gen/signal_pb';
import type { MediaFigures } from './media_stats';
import type { LocalNtp } from './units';

export const SIGNAL_VERSION = 1;
export const EPH_VERSION = 1;
/** Fixed ids of the data channels. */
export const CHANNEL = { ctl: 1, ink: 3, eph: 5, vit: 7 } as const;
export const SLOTS_VIDEO = 5;
export const SLOTS_VOICE = 8;

const parse = <T>(read: () => T): T | null => {
  try {
    return read();
  } catch {
    return null; // the peer's fault: counted by the caller, not followed
  }
};

export const parseServer = (bytes: Uint8Array): ServerMessage | null => parse(() => fromBinary(ServerMessageSchema, bytes));
export const parseInk = (bytes: Uint8Array): InkPacket | null => parse(() => fromBinary(InkPacketSchema, bytes));
export const parseEph = (bytes: Uint8Array): Eph | null => parse(() => fromBinary(EphSchema, bytes));
export const parseVit = (bytes: Uint8Array): Vit | null => parse(() => fromBinary(VitSchema, bytes));
export const parseCtl = (bytes: Uint8Array): Ctl | null => parse(() => fromBinary(CtlSchema, bytes));

export function clientBytes(body: ClientMessage['body']): Uint8Array<ArrayBuffer> {
  return toBinary(ClientMessageSchema, create(ClientMessageSchema, { body })) as Uint8Array<ArrayBuffer>;
}
export const inkBytes = (packet: InkPacket): Uint8Array<ArrayBuffer> => toBinary(InkPacketSchema, packet) as Uint8Array<ArrayBuffer>;
export function ephPingBytes(t1: LocalNtp): Uint8Array<ArrayBuffer> {
  return toBinary(EphSchema, create(EphSchema, { version: EPH_VERSION, ping: create(ClockPingSchema, { t1 }) })) as Uint8Array<ArrayBuffer>;
}

export function ephPointerBytes(pointer: Pointer): Uint8Array<ArrayBuffer> {
  return toBinary(EphSchema, create(EphSchema, { version: EPH_VERSION, pointers: [pointer] })) as Uint8Array<ArrayBuffer>;
}

/** What a page tells of itself once a second. */
export function reportOf({ tracks, voiceConcealed }: MediaFigures, own: { framesShown: number; freezes: number; rttMs: number; ageMs: number; pictureStalled: boolean }): ClientReport {
  return create(ClientReportSchema, { ...own, tracks: tracks.map((track) => create(TrackReportSchema, track)), voiceConcealed });
}

/** The page a role opens. */
export type Screen = 'room' | 'mentor' | 'desk' | 'vendor';
export function screenOf(role: Role): Screen {
  switch (role) {
    case Role.ROOM: return 'room';
    case Role.MENTOR: return 'mentor';
    case Role.VENDOR: return 'vendor';
    default: return 'desk';
  }
}
