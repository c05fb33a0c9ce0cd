// The one place of this program that reads a clock.
import type { LocalNtp, PerfMs } from '../core/units';
import { localNtp, perfMs } from '../core/units';

/** Taken once, so that the local clock is monotone whatever happens to the machine's date. */
const ORIGIN_UNIX_MS = performance.timeOrigin;

export const perfNow = (): PerfMs => perfMs(performance.now());
export const toLocalNtp = (t: PerfMs): LocalNtp => localNtp(ORIGIN_UNIX_MS, t);
/** Unix milliseconds by this machine's date at page load: only to tell which of two pages of one browser acted later, and how long ago this tab's case ended. */
export const wallMs = (): number => ORIGIN_UNIX_MS + performance.now();
