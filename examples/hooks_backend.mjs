// A back end that decides for the server over HTTP, with Node.js alone.
//
//     node examples/hooks_backend.mjs var/keyring/hooks.secret 9000
//
// It decides as examples/hooks_backend.py does. The documents are described in
// docs/hooks.openapi.json.

import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const SUBSCRIBERS = new Map([["token-of-alice", "alice"], ["token-of-bob", "bob"]]);
const MAX_AGE_SECONDS = 60;
const MAX_BODY = 16 << 20;

const [secretFile, port = "9000"] = process.argv.slice(2);
const secret = readFileSync(secretFile, "utf8").trim();
const nonces = new Map();

function decide(facts) {
  if (facts.operation !== "AcquireLicense") return { decision: "allow", custom_data: "welcome" };
  const user = SUBSCRIBERS.get(facts.query_values.token?.[0]);
  if (user === undefined) {
    return { decision: "refuse", text: "no subscription", custom_data: '{"buy": true}' };
  }
  const answer = { decision: "allow", custom_data: user, stream_user: user, stream_limit: 2 };
  // Devices without hardware protection get an hour.
  return facts.security_level >= 3000 ? answer : { ...answer, expires_in_seconds: 3600 };
}

function sign(...parts) {
  const hmac = createHmac("sha256", secret);
  parts.forEach((part, index) => hmac.update(index ? "\n" : "").update(part));
  return hmac.digest("hex");
}

function isGenuine(headers, body) {
  const timestamp = headers["rightsmanager-timestamp"] ?? "";
  const nonce = headers["rightsmanager-nonce"] ?? "";
  const given = Buffer.from(headers["rightsmanager-signature"] ?? "");
  const expected = Buffer.from(sign("request", timestamp, nonce, body));
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return false;
  const now = Date.now() / 1000;
  if (Math.abs(now - Number(timestamp)) > MAX_AGE_SECONDS) return false;
  // In the order in which they came: the first ones are the oldest.
  for (const [old, until] of nonces) {
    if (until >= now) break;
    nonces.delete(old);
  }
  if (nonces.has(nonce)) return false;
  nonces.set(nonce, now + 2 * MAX_AGE_SECONDS);
  return true;
}

function answer(request, response, body) {
  if (request.method !== "POST" || !isGenuine(request.headers, body)) {
    response.writeHead(403).end();
    return;
  }
  const document = JSON.parse(body);
  let reply = "{}";
  if (request.url.endsWith("/event")) {
    console.log(document.operation, document.device, document.refusal);
  } else {
    reply = JSON.stringify(decide(document));
  }
  const nonce = request.headers["rightsmanager-nonce"];
  response.writeHead(200, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(reply),
    "RightsManager-Signature": sign("answer", nonce, reply),
  });
  response.end(reply);
}

const server = createServer((request, response) => {
  const chunks = [];
  let length = 0;
  request.on("data", (chunk) => {
    length += chunk.length;
    if (length > MAX_BODY) request.destroy();
    chunks.push(chunk);
  });
  request.on("end", () => answer(request, response, Buffer.concat(chunks)));
});
// Longer than the pauses between requests, which spares new connections.
server.keepAliveTimeout = 60_000;
server.listen(Number(port), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
