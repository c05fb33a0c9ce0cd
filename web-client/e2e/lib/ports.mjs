// Ports that stay free until they are used: the system hands them to nobody by itself, as it does with those of "port 0".
import { readFileSync } from "node:fs";
import { createServer } from "node:net";

const LOWEST = 10_000;

const isFree = (port) => new Promise((resolve) => {
  const server = createServer().once("error", () => resolve(false)).listen(port, () => server.close(() => resolve(true)));
});

export async function quietPort() {
  const [low, high] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").trim().split(/\s+/).map(Number);
  const [from, to] = low - LOWEST > 1_000 ? [LOWEST, low] : [high + 1, 65_536];
  for (let n = 0; n < 200; n += 1) {
    const port = from + Math.floor(Math.random() * (to - from));
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port from ${from} to ${to}`);
}
