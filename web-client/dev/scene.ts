// A generated program picture for development: tissue, an X-ray and a monitor, drawn, in the places of the engine's
// `field-large` and `measuring` layouts; `tight` leaves no room for strips. Nothing here comes from a patient.
export interface Place { feed: string; x: number; y: number; w: number; h: number }
export const LAYOUTS: Record<string, Place[]> = {
  tight: [
    { feed: 'field', x: 0, y: 0, w: 896, h: 504 },
    { feed: 'fluoro', x: 896, y: 60, w: 384, h: 384 },
    { feed: 'vitals', x: 0, y: 504, w: 1280, h: 216 },
  ],
  large: [
    { feed: 'field', x: 0, y: 44, w: 864, h: 486 },
    { feed: 'fluoro', x: 864, y: 114, w: 416, h: 416 },
    { feed: 'vitals', x: 0, y: 574, w: 1280, h: 146 },
  ],
  camera: [
    { feed: 'field', x: 0, y: 44, w: 864, h: 486 },
    { feed: 'camera', x: 864, y: 44, w: 416, h: 234 },
    { feed: 'fluoro', x: 864, y: 322, w: 416, h: 208 },
    { feed: 'vitals', x: 0, y: 574, w: 1280, h: 146 },
  ],
  // As the demo: the room's camera at the end of the strip.
  demo: [
    { feed: 'field', x: 0, y: 44, w: 864, h: 486 },
    { feed: 'fluoro', x: 864, y: 114, w: 416, h: 416 },
    { feed: 'camera', x: 1020, y: 574, w: 260, h: 146 },
    { feed: 'vitals', x: 0, y: 574, w: 1020, h: 146 },
  ],
  // A strategy desk's eight feeds.
  wall: [
    { feed: 'field', x: 0, y: 44, w: 856, h: 482 },
    { feed: 'fluoro', x: 958, y: 44, w: 220, h: 219 },
    { feed: 'vitals', x: 856, y: 307, w: 424, h: 219 },
    { feed: 'side', x: 53, y: 570, w: 150, h: 150 },
    { feed: 'ivus', x: 309, y: 570, w: 150, h: 150 },
    { feed: 'scope', x: 512, y: 570, w: 256, h: 150 },
    { feed: 'endo', x: 768, y: 570, w: 256, h: 150 },
    { feed: 'camera', x: 1024, y: 570, w: 256, h: 150 },
  ],
  full: [
    { feed: 'field', x: 0, y: 0, w: 1280, h: 720 },
    { feed: 'fluoro', x: 1072, y: 512, w: 192, h: 192 },
    { feed: 'vitals', x: 672, y: 576, w: 384, h: 128 },
  ],
};

/** `washed`: the contrast has left the vessels. */
export function draw(c: CanvasRenderingContext2D, places: readonly Place[], t: number, washed = false): void {
  c.fillStyle = '#000';
  c.fillRect(0, 0, 1280, 720);
  for (const p of places) {
    c.save();
    c.beginPath();
    c.rect(p.x, p.y, p.w, p.h);
    c.clip();
    c.translate(p.x, p.y);
    if (/^(field|camera|scope|endo)$/.test(p.feed)) tissue(c, p.w, p.h, t);
    else if (p.feed !== 'vitals') xray(c, p.w, p.h, t, washed);
    else monitor(c, p.w, p.h, t);
    c.restore();
  }
}

function tissue(c: CanvasRenderingContext2D, w: number, h: number, t: number): void {
  const r = Math.min(w, h * 1.4) * 0.52;
  c.fillStyle = '#050303';
  c.fillRect(0, 0, w, h);
  c.beginPath();
  c.ellipse(w / 2, h / 2, r, r * 0.78, 0, 0, 7);
  c.clip();
  const base = c.createRadialGradient(w / 2, h / 2, 10, w / 2, h / 2, r);
  base.addColorStop(0, '#a8584a');
  base.addColorStop(1, '#3c1216');
  c.fillStyle = base;
  c.fillRect(0, 0, w, h);
  for (let i = 0; i < 9; i += 1) {
    const x = w * (0.2 + 0.08 * i) + Math.sin(t + i) * 8;
    const y = h * (0.3 + 0.42 * Math.abs(Math.sin(i * 1.7))) + Math.cos(t * 0.8 + i) * 6;
    const g = c.createRadialGradient(x, y, 4, x, y, h * 0.24);
    g.addColorStop(0, ['#d9a06c', '#8c2f33', '#c46b5a'][i % 3] ?? '#a55');
    g.addColorStop(1, '#00000000');
    c.fillStyle = g;
    c.fillRect(0, 0, w, h);
  }
  c.strokeStyle = '#7d1f28';
  c.lineWidth = 3;
  for (let i = 0; i < 5; i += 1) {
    c.beginPath();
    c.moveTo(w * 0.25, h * (0.25 + i * 0.12));
    c.bezierCurveTo(w * 0.4, h * (0.2 + i * 0.13), w * 0.55, h * (0.4 + i * 0.08), w * 0.8, h * (0.22 + i * 0.13));
    c.stroke();
  }
  c.fillStyle = '#ffffffcc';
  for (let i = 0; i < 14; i += 1) c.fillRect(w * (0.3 + 0.03 * i) + Math.sin(t * 2 + i) * 3, h * (0.35 + 0.3 * Math.abs(Math.cos(i * 2.1))), 5, 3);
}

function xray(c: CanvasRenderingContext2D, w: number, h: number, t: number, washed: boolean): void {
  const g = c.createLinearGradient(0, 0, w, h);
  g.addColorStop(0, '#d7d7d7');
  g.addColorStop(0.6, '#777');
  g.addColorStop(1, '#222');
  c.fillStyle = '#000';
  c.fillRect(0, 0, w, h);
  c.beginPath();
  c.arc(w / 2, h / 2, Math.min(w, h) * 0.48, 0, 7);
  c.fillStyle = g;
  c.fill();
  c.strokeStyle = washed ? '#0000000c' : '#1a1a1a';
  c.lineWidth = w / 60;
  c.beginPath();
  c.moveTo(w * 0.42, h * 0.1);
  c.bezierCurveTo(w * 0.3 + Math.sin(t * 6) * 4, h * 0.4, w * 0.7, h * 0.5, w * 0.45, h * 0.85);
  c.stroke();
}

function monitor(c: CanvasRenderingContext2D, w: number, h: number, t: number): void {
  c.fillStyle = '#000';
  c.fillRect(0, 0, w, h);
  const rows: [string, string, (x: number) => number][] = [
    ['#63E0A0', '72', (x) => (x % 1 > 0.46 && x % 1 < 0.5 ? -1 : x % 1 >= 0.5 && x % 1 < 0.53 ? 0.5 : 0.05 * Math.sin(x * 12))],
    ['#FF8F87', '118/64', (x) => -Math.exp(-(((x % 1) - 0.3) ** 2) * 30) * 0.9],
    ['#8FD3FF', '--', (x) => -Math.exp(-(((x % 1) - 0.4) ** 2) * 16) * 0.7],
  ];
  const numbers = w * 0.22;
  rows.forEach(([colour, value, wave], i) => {
    const y = h * (0.4 + 0.26 * i);
    c.strokeStyle = colour;
    c.lineWidth = 2;
    c.beginPath();
    for (let x = 0; x < w - numbers; x += 2) {
      const v = y + wave((x / 110) + Math.floor(t / 4) * 0) * (h / 8);
      if (x === 0) c.moveTo(x, v);
      else c.lineTo(x, v);
    }
    c.stroke();
    c.clearRect(((t / 4) % 1) * (w - numbers), y - h / 6, 14, h / 3.2);
    c.fillStyle = colour;
    c.font = `600 ${h / 5.2}px sans-serif`;
    c.fillText(value, w - numbers + 16, y);
  });
}
