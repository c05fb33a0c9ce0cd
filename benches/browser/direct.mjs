// The baseline's browser end: a page with one video, fed by `webrtcbin` with nothing between.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { newPage, read, rest, until } from './launch.mjs';

const PAGE = 'http://localhost/glass-baseline';
const HTML = `<!doctype html><title>baseline</title><style>body{margin:0;background:#000}video{width:911px;height:512px;display:block}</style>
<video autoplay muted playsinline></video>`;

/** @param {{ exe: string, args: string[] }} sender */
export async function measureDirect(browser, sender, { seconds, settleSeconds }, { onBegin, onEnd }) {
  const page = await newPage(browser);
  const child = spawn(sender.exe, sender.args, { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    // Loopback is a secure context, which VideoFrame asks for.
    await page.route(PAGE, (route) => route.fulfill({ contentType: 'text/html', body: HTML }));
    await page.goto(PAGE);
    const say = (line) => void child.stdin.write(`${JSON.stringify(line)}\n`);
    await page.exposeFunction('sayCandidate', (candidate, line) => say({ type: 'candidate', candidate, sdpMLineIndex: line }));
    await page.evaluate(() => {
      const peer = new RTCPeerConnection();
      window.peer = peer;
      peer.ontrack = ({ track }) => {
        const video = document.querySelector('video');
        video.srcObject = new MediaStream([track]);
        void video.play();
      };
      peer.onicecandidate = ({ candidate }) => {
        if (candidate?.candidate) window.sayCandidate(candidate.candidate, candidate.sdpMLineIndex ?? 0);
      };
    });
    // Candidates that outrun the offer wait for it.
    let chain = Promise.resolve();
    createInterface({ input: child.stdout }).on('line', (text) => {
      const line = JSON.parse(text);
      chain = chain.then(async () => {
        if (line.type === 'offer') {
          say(await page.evaluate(async (sdp) => {
            await window.peer.setRemoteDescription({ type: 'offer', sdp });
            await window.peer.setLocalDescription();
            return { type: 'answer', sdp: window.peer.localDescription.sdp };
          }, line.sdp));
        } else {
          await page.evaluate((c) => window.peer.addIceCandidate(c), { candidate: line.candidate, sdpMLineIndex: line.sdpMLineIndex });
        }
      }).catch((error) => console.error(`baseline signalling: ${error.message}`));
    });
    await until('the baseline shows a picture with a time code', () => page.evaluate(() => window.glass.ready()));
    await rest(settleSeconds * 1000);
    onBegin();
    const result = await read(page, seconds);
    onEnd();
    return { ...result, inbound: await page.evaluate(inbound) };
  } finally {
    child.stdin.end();
    await page.context().close();
    if (child.exitCode === null) {
      const timer = setTimeout(() => child.kill('SIGKILL'), 3000);
      await new Promise((done) => child.once('exit', done));
      clearTimeout(timer);
    }
  }
}

/** What the receiver says of the line, over the page's whole life. */
async function inbound() {
  const stats = await window.peer.getStats();
  for (const one of stats.values()) {
    if (one.type !== 'inbound-rtp' || one.kind !== 'video') continue;
    const { packetsReceived, packetsLost, nackCount, pliCount, framesReceived, framesDecoded, keyFramesDecoded, framesDropped } = one;
    return { packetsReceived, packetsLost, nackCount, pliCount, framesReceived, framesDecoded, keyFramesDecoded, framesDropped };
  }
  return null;
}
