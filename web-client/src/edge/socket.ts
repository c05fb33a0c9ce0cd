// The signalling WebSocket: one attempt each; trying again is the client's business.
export interface SocketEvents {
  open(): void;
  message(bytes: Uint8Array): void;
  close(): void;
}

export interface Socket {
  send(bytes: Uint8Array<ArrayBuffer>): void;
  close(): void;
}

/** Bytes that may wait in the browser before a droppable message is dropped: 1 s of ink at its bound. Policy: drop_newest. */
const BUFFERED_MAX = 350_000;

export function openSocket(id: string, events: SocketEvents): Socket {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  const socket = new WebSocket(`${scheme}://${location.host}/ws?id=${encodeURIComponent(id)}`);
  socket.binaryType = 'arraybuffer';
  let over = false;
  const end = (): void => {
    if (over) return;
    over = true;
    events.close();
  };
  socket.onopen = () => { if (!over) events.open(); };
  socket.onmessage = (e: MessageEvent<unknown>) => { if (!over && e.data instanceof ArrayBuffer) events.message(new Uint8Array(e.data)); };
  socket.onclose = end;
  socket.onerror = end;
  return {
    send: (bytes) => { if (socket.readyState === WebSocket.OPEN && socket.bufferedAmount < BUFFERED_MAX) socket.send(bytes); },
    close: () => { over = true; socket.close(); },
  };
}
