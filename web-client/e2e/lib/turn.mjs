// A real coturn on free ports, with the settings that we ship for hospitals.
import { execFileSync, spawn } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import path from "node:path";

import { until } from "./browser.mjs";
import { quietPort } from "./ports.mjs";

const SHIPPED = path.resolve(import.meta.dirname, "../../../infra/turnserver.conf");

/** An address of this machine that others could reach; a relay does not relay to itself. */
export const address = Object.values(networkInterfaces()).flat().find((i) => i?.family === "IPv4" && !i.internal)?.address ?? "127.0.0.1";

/** Runs until `stop`. `udp`, `tcp`, `tls`: its addresses. `secretFile`: for `--turn-secret`. */
export async function startTurn() {
  const folder = mkdtempSync(path.join(tmpdir(), "shirube-turn-"));
  const at = (name) => path.join(folder, name);
  const secret = randomBytes(24).toString("base64");
  writeFileSync(at("secret"), `${secret}\n`, { mode: 0o600 });
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
    "-addext", `subjectAltName=IP:${address}`, "-keyout", at("key.pem"), "-out", at("cert.pem")], { stdio: "ignore" });
  const [port, tlsPort] = [await quietPort(), await quietPort()];
  const ours = {
    "listening-port": port, "tls-listening-port": tlsPort, realm: "turn.test", cert: at("cert.pem"), pkey: at("key.pem"),
    "static-auth-secret": secret, "allowed-peer-ip": address,
  };
  const shipped = readFileSync(SHIPPED, "utf8");
  const conf = shipped.split("\n").map((line) => {
    const key = line.split("=")[0];
    return key in ours ? `${key}=${ours[key]}` : line;
  });
  for (const key of Object.keys(ours)) if (!conf.some((line) => line.startsWith(`${key}=`))) throw new Error(`${SHIPPED} has no ${key}`);
  conf.push(`listening-ip=${address}`, `relay-ip=${address}`, `pidfile=${at("pid")}`, `userdb=${at("db")}`, "log-file=stdout", "simple-log", "verbose");
  if (address.startsWith("127.")) conf.push("allow-loopback-peers");
  writeFileSync(at("conf"), conf.join("\n"));
  const child = spawn("turnserver", ["-c", at("conf")], { stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const out of [child.stdout, child.stderr]) out.on("data", (d) => (log = (log + d).slice(-100_000)));
  let fault = null;
  child.once("error", (error) => (fault = error));
  const ended = new Promise((resolve) => child.once("close", resolve));
  await until(() => {
    if (fault) throw fault;
    return log.includes(`:${tlsPort}`) || child.exitCode !== null;
  }, "coturn to listen");
  if (child.exitCode !== null) throw new Error(`coturn ended with ${child.exitCode}:\n${log}`);
  return {
    urls: { udp: `turn:${address}:${port}?transport=udp`, tcp: `turn:${address}:${port}?transport=tcp`, tls: `turns:${address}:${tlsPort}?transport=tcp` },
    secretFile: at("secret"),
    /** A user name that ends in so many seconds, and its password; as the server makes them. */
    credentials(seconds) {
      const username = `${Math.floor(Date.now() / 1000) + seconds}:nobody`;
      return { username, credential: createHmac("sha1", secret).update(username).digest("base64") };
    },
    log: () => log,
    async stop() {
      child.kill("SIGTERM");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
