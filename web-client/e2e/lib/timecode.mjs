// Reads the time code TC48 from the picture on the glass. Runs in the page, reads luma by VideoFrame.copyTo.

/** `frames` readings, one per presented frame: {ms (Unix, at capture, low 32 bits), counter, ok, ageMs}. */
export function readTimeCodes(page, selector, frames) {
  return page.evaluate(
    async ({ selector, frames }) => {
      const video = document.querySelector(selector);
      const crc16 = (bytes) => {
        let crc = 0xffff;
        for (const b of bytes) {
          crc ^= b << 8;
          for (let i = 0; i < 8; i++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
        }
        return crc;
      };
      const read = async () => {
        const frame = new VideoFrame(video);
        try {
          const width = frame.visibleRect.width;
          const data = new Uint8Array(frame.allocationSize());
          const [luma] = await frame.copyTo(data);
          const block = width / 40;
          const word = (row) => {
            let value = 0;
            for (let i = 0; i < 32; i++) {
              let sum = 0;
              let n = 0;
              const x0 = block * (1 + i) + block / 4;
              const y0 = block * (1 + row) + block / 4;
              for (let y = Math.ceil(y0); y < y0 + block / 2; y++) {
                for (let x = Math.ceil(x0); x < x0 + block / 2; x++) {
                  sum += data[luma.offset + y * luma.stride + x];
                  n++;
                }
              }
              value = (value << 1) | (sum / n > 128 ? 1 : 0);
            }
            return value >>> 0;
          };
          const ms = word(0);
          const low = word(1);
          const counter = low >>> 16;
          const bytes = [ms >>> 24, (ms >>> 16) & 255, (ms >>> 8) & 255, ms & 255, counter >>> 8, counter & 255];
          const now = Date.now() % 2 ** 32;
          return { ms, counter, ok: crc16(bytes) === (low & 0xffff), ageMs: now - ms };
        } finally {
          frame.close();
        }
      };
      const out = [];
      while (out.length < frames) {
        await Promise.race([
          new Promise((r) => video.requestVideoFrameCallback(r)),
          new Promise((_, reject) => setTimeout(() => reject(new Error("no picture came for 30 s")), 30_000)),
        ]);
        out.push(await read());
      }
      return out;
    },
    { selector, frames },
  );
}
