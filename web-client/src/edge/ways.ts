// The ways out of this machine, and how they are named.
import { askMicrophone } from './microphone';
import { openPath } from './peer';
import { openSession } from './session';
import { openSocket } from './socket';

/** The ways out of this machine, so that a page without a network can be put in their place. */
export interface Ways {
  openSession: typeof openSession;
  openSocket: typeof openSocket;
  openPath: typeof openPath;
  askMicrophone: typeof askMicrophone;
  stillAddress(caseId: string, of: StillOf, id: string): string;
}
export const WAYS: Ways = {
  openSession, openSocket, openPath, askMicrophone,
  stillAddress: (caseId, of, id) => {
    const path = of.still ? [caseId, of.still] : [caseId, of.feed, String(of.capture)];
    return `/api/still/${path.map(encodeURIComponent).join('/')}?id=${encodeURIComponent(id)}`;
  },
};

/** A pinned frame: by its id, or where none was told yet by the frame it should be. */
export interface StillOf { readonly still: string | null; readonly feed: string; readonly capture: bigint }
