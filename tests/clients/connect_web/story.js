// What runs in the browser: gRPC-web calls with nothing but the public contracts.
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { AuthService } from "./generated/causeway/auth/v1/auth_pb.js";
import { LlmService } from "./generated/causeway/llm/v1/llm_pb.js";
import { TenancyService } from "./generated/causeway/tenancy/v1/tenancy_pb.js";

// Not randomUUID, which a page without TLS has on localhost only.
const random = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16)).join("");
const PASSWORD = `correct horse ${random()}`;

function assert(holds, what) {
  if (!holds) throw new Error(what);
}

function client(service, baseUrl, token) {
  const authorize = (next) => (request) => {
    if (token) request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const transport = createGrpcWebTransport({ baseUrl, interceptors: [authorize], defaultTimeoutMs: 30000 });
  return createClient(service, transport);
}

async function refused(call, code) {
  try {
    await call;
  } catch (error) {
    const failure = ConnectError.from(error);
    assert(failure.code === code, `expected ${Code[code]}, got ${failure}`);
    const details = failure.details.map((detail) => detail.type);
    assert(details.includes("google.rpc.ErrorInfo"), `no google.rpc.ErrorInfo in ${JSON.stringify(details)}`);
    return { code: Code[failure.code], message: failure.rawMessage, details };
  }
  throw new Error(`expected ${Code[code]}, got an answer`);
}

// Registers, logs in, asks a model whole and in pieces, and meets typed errors.
window.story = async (baseUrl) => {
  const email = `eve-${random()}@example.com`;
  const anonymous = client(AuthService, baseUrl);
  const account = await anonymous.register({ email, password: PASSWORD, workspaceName: "Eve's" });
  const session = await anonymous.login({ email, password: PASSWORD });
  const me = await client(AuthService, baseUrl, session.accessToken).getMe({});
  assert(me.principal?.id === account.userId, "the session belongs to somebody else");

  const llm = client(LlmService, baseUrl, session.accessToken);
  const request = { model: "auto", messages: [{ role: "user", content: "Say why a causeway is useful." }] };
  const answer = await llm.generate(request);
  assert(answer.content, "no text came");
  const pieces = [];
  for await (const piece of llm.generateStream({ request })) pieces.push(piece);
  assert(pieces.map((piece) => piece.delta).join(""), "no streamed text came");
  assert(pieces.at(-1).finishReason, "the last piece has no finish reason");

  const tenancy = client(TenancyService, baseUrl, session.accessToken);
  return {
    email,
    workspace_id: session.workspaceId,
    provider: answer.provider,
    pieces: pieces.length,
    unauthenticated: await refused(client(AuthService, baseUrl).getMe({}), Code.Unauthenticated),
    not_found: await refused(tenancy.getSecret({ name: "not-there" }), Code.NotFound),
    invalid: await refused(anonymous.register({ email: "not an address", password: "short" }), Code.InvalidArgument),
  };
};

// True when the browser lets this page read any answer of the gateway.
window.reachable = (baseUrl) =>
  client(AuthService, baseUrl).getJwks({}).then(() => true, (error) => {
    assert(/fetch/i.test(ConnectError.from(error).message), `not a refusal by the browser: ${error}`);
    return false;
  });
