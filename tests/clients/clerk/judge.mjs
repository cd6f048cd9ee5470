// Clerk's own verifier of session tokens (@clerk/backend) as a judge of ours.
//
// Reads {now, pem, parties, audience, tokens: {name: token}} from standard input, where `now` is in seconds since 1970,
// and prints one JSON object: for each name "accepted", or the reason for which Clerk refuses the token.
import process from "node:process";
import { verifyToken } from "@clerk/backend";

// Not at once by its number: a pipe may have nothing to read yet.
const pieces = [];
for await (const piece of process.stdin) pieces.push(piece);
const { now, pem, parties, audience, tokens } = JSON.parse(Buffer.concat(pieces).toString());
Date.now = () => now * 1000;
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...parts) {
    super(...(parts.length === 0 ? [now * 1000] : parts));
  }
};

async function verdict(token) {
  const options = { jwtKey: pem, authorizedParties: parties, clockSkewInMs: 5000 };
  try {
    await verifyToken(token, audience ? { ...options, audience } : options);
    return "accepted";
  } catch (error) {
    return error?.reason ?? "refused";
  }
}

const verdicts = {};
for (const [name, token] of Object.entries(tokens)) verdicts[name] = await verdict(token);
process.stdout.write(JSON.stringify(verdicts));
