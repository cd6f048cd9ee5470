// @connectrpc/connect-web's gRPC-web transport in a real, headless Chromium.
//
// Environment: CAUSEWAY_URL; CAUSEWAY_ORIGIN, an http origin that the gateway allows (default http://localhost:3000);
// and CHROMIUM, the browser (default: the first one found). Prints one JSON object and exits 0.
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { delimiter, join } from "node:path";
import process from "node:process";
import { chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const BUNDLES = [
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
const FOREIGN = "http://foreign.example";

function browserPath() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const folders = (process.env.PATH ?? "").split(delimiter);
  const found = folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).concat(BUNDLES).find(existsSync);
  if (!found) throw new Error("no Chromium found: install one or set CHROMIUM to its path");
  return found;
}

// Serves the page on a free port. It is a real server, not an intercepted request: with interception on, Playwright
// answers CORS preflights itself.
async function servePage() {
  const server = createServer((request, response) => {
    const script = request.url === "/story.js";
    response.setHeader("content-type", script ? "text/javascript" : "text/html");
    response.end(script ? readFileSync("bundle.js") : '<!doctype html><script src="/story.js"></script>');
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

// Maps each origin to the page's server, so that no origin needs its port or its name on this machine.
function resolverRules(origins, port) {
  const places = origins.map((origin) => new URL(origin)).map((url) => `${url.hostname}:${url.port || 80}`);
  return places.map((place) => `MAP ${place} 127.0.0.1:${port}`).join(",");
}

async function evaluateAt(browser, origin, call, url) {
  const page = await browser.newPage();
  await page.goto(`${origin}/`);
  return page.evaluate(([name, base]) => window[name](base), [call, url]);
}

async function main(url, origin) {
  const server = await servePage();
  const browser = await chromium.launch({
    executablePath: browserPath(),
    // Chromium has no sandbox for root, and containers are root.
    args: ["--no-sandbox", `--host-resolver-rules=${resolverRules([origin, FOREIGN], server.address().port)}`],
  });
  try {
    const story = await evaluateAt(browser, origin, "story", url);
    if (await evaluateAt(browser, FOREIGN, "reachable", url)) {
      throw new Error(`a page of ${FOREIGN} could read the gateway's answer`);
    }
    const version = `connect-web in Chromium ${browser.version()}`;
    console.log(JSON.stringify({ client: version, origin, ...story, foreign_origin_blocked: true }));
  } finally {
    await browser.close();
    server.close();
  }
}

try {
  if (!process.env.CAUSEWAY_URL) throw new Error("set CAUSEWAY_URL");
  await main(process.env.CAUSEWAY_URL.replace(/\/$/, ""), process.env.CAUSEWAY_ORIGIN || "http://localhost:3000");
} catch (error) {
  console.error(`run.mjs: ${error.message}`);
  process.exitCode = 1;
}
