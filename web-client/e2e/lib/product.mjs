// Starts the whole product on embedded defaults, as `infra/demo --json` does, on ports of its own.
import { spawn, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";

const root = path.resolve(import.meta.dirname, "../../..");
const target = path.join(process.env.CARGO_TARGET_DIR ?? path.join(root, "target"), process.env.SHIRUBE_PROFILE ?? "debug");
export const exe = path.join(target, "shirube");

/** Resolves once the product says that it is ready. `args`: further flags of `shirube demo`. `shared`: use the sample data where it is. */
export async function startProduct(args = [], { data = mkdtempSync(path.join(tmpdir(), "shirube-e2e-")), env = {}, shared: wanted = true } = {}) {
  const shared = path.join(root, "../shared/data");
  const all = ["demo", "--json", "--media-port", "0", ...(args.includes("--https-port") ? [] : ["--https-port", "0"]), "--data", data];
  all.push("--web-root", path.join(root, "web-client/dist"), "--engine", path.join(target, "shirube-engine"));
  if (wanted && existsSync(shared) && !args.includes("--no-engine")) all.push("--shared", shared);
  // Pages that a test left open are not waited for.
  if (!args.includes("--drain")) all.push("--drain", "0");
  const child = spawn(exe, [...all, ...args], { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } });
  let log = "";
  child.stderr.on("data", (d) => (log = (log + d).slice(-60_000)));
  const ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
  const line = await Promise.race([
    new Promise((resolve) => createInterface({ input: child.stdout }).once("line", resolve)),
    ended.then(({ code }) => Promise.reject(new Error(`shirube ended with ${code}:\n${log}`))),
  ]);
  return {
    ...JSON.parse(line),
    data,
    log: () => log,
    /** Ends it as Ctrl-C does; resolves with its exit code. */
    async stop({ keep = false } = {}) {
      child.kill("SIGINT");
      const { code } = await ended;
      if (!keep) rmSync(data, { recursive: true, force: true });
      return code;
    },
  };
}

/** Runs `shirube` to its end; for starts that must fail. */
export function runToEnd(args, { timeout = 120_000 } = {}) {
  return new Promise((resolve) => {
    const child = spawn(exe, args, { stdio: ["ignore", "pipe", "pipe"], timeout });
    let stderr = "";
    child.stderr.on("data", (d) => (stderr += d));
    // Not "exit": that may come before the last words.
    child.once("close", (code, signal) => resolve({ code, signal, stderr }));
  });
}

/** Rows of the product's own database, read by another program. */
export function sql(data, query) {
  const db = execFileSync("find", [data, "-name", "*.sqlite*", "-not", "-name", "*-wal", "-not", "-name", "*-shm"], { encoding: "utf8" });
  const out = execFileSync("sqlite3", ["-json", "-cmd", ".timeout 60000", db.trim().split("\n")[0], query], { encoding: "utf8" });
  return out.trim() === "" ? [] : JSON.parse(out);
}
