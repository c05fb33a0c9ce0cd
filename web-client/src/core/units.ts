// Branded units. Two quantities never share a type; a cast stands only where a value enters (the wire, an event).

declare const unit: unique symbol;
type Unit<T, Name> = T & { readonly [unit]: Name };

/** When something happened, NTP 32.32 on the case timeline. 0 = not known. */
export type CaptureNtp = Unit<bigint, 'CaptureNtp'>;
/** NTP 32.32 on this page's own clock: monotone, of no particular epoch. */
export type LocalNtp = Unit<bigint, 'LocalNtp'>;
/** Milliseconds of the page's monotone clock (performance.now, event.timeStamp, frame callbacks). */
export type PerfMs = Unit<number, 'PerfMs'>;
/** Pixels of the program's full-size picture. */
export type ProgramPx = Unit<number, 'ProgramPx'>;
/** 1/16384 of the feed picture's width, on both axes. */
export type Norm = Unit<number, 'Norm'>;

export const PICTURE_WIDTH = 16_384;
export const NTP_UNIX_OFFSET_S = 2_208_988_800n;

export const captureNtp = (raw: bigint): CaptureNtp => raw as CaptureNtp;
export const perfMs = (raw: number): PerfMs => raw as PerfMs;

/** a minus b in nanoseconds. The shift floors, as `CaptureTime::minus_ns` does. */
export function ntpMinusNs(a: bigint, b: bigint): bigint {
  return ((a - b) * 1_000_000_000n) >> 32n;
}

/** Moved by a signed number of nanoseconds; never below zero. The division truncates, as `CaptureTime::offset_ns` does. */
export function ntpOffsetNs(t: bigint, ns: bigint): bigint {
  const moved = t + (ns << 32n) / 1_000_000_000n;
  return moved < 0n ? 0n : moved;
}

/** Unix milliseconds (with fraction) to NTP 32.32. */
export function ntpFromUnixMs(ms: number): bigint {
  const whole = Math.floor(ms);
  return ((BigInt(whole) << 32n) / 1000n) + (NTP_UNIX_OFFSET_S << 32n) + BigInt(Math.round(((ms - whole) / 1000) * 4_294_967_296));
}

/** NTP 32.32 to Unix milliseconds. */
export function unixMsFromNtp(ntp: bigint): number {
  const seconds = Number((ntp >> 32n) - NTP_UNIX_OFFSET_S);
  return seconds * 1000 + (Number(ntp & 0xffff_ffffn) / 4_294_967_296) * 1000;
}

/** This page's clock as NTP. `originUnixMs` is taken once at start, so that the result is monotone. */
export function localNtp(originUnixMs: number, t: PerfMs): LocalNtp {
  return (ntpFromUnixMs(originUnixMs) + (BigInt(Math.round(t * 1000)) << 32n) / 1_000_000n) as LocalNtp;
}
