// An MCP client that signs in with its SDK's own OAuth client, calls a tool, and renews its tokens.
// usage: node client.mjs v1|v2 MCP_URL [CLIENT_ID_URL]; PACKAGES names the folder of the SDKs. Speaks JSON lines.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { randomUUID } from "node:crypto";

const require = createRequire(`${process.env.PACKAGES}/package.json`);
const [version, url, documentUrl] = process.argv.slice(2);
const tell = (said) => console.log(JSON.stringify(said));

function sdk() {
  if (version === "v2") return require("@modelcontextprotocol/client");
  const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const { UnauthorizedError } = require("@modelcontextprotocol/sdk/client/auth.js");
  return { Client, StreamableHTTPClientTransport, UnauthorizedError };
}

const { Client, StreamableHTTPClientTransport, UnauthorizedError } = sdk();
let came;
const back = new Promise((resolve) => (came = resolve));
const server = createServer((request, response) => {
  response.end("You can close this page.");
  came(new URL(request.url, "http://127.0.0.1").searchParams);
});
await new Promise((ready) => server.listen(Number(process.env.CALLBACK_PORT ?? 0), "127.0.0.1", ready));

const kept = { state: randomUUID() };
const provider = {
  redirectUrl: `http://127.0.0.1:${server.address().port}/callback`,
  clientMetadataUrl: documentUrl,
  get clientMetadata() {
    return {
      client_name: `SDK ${version}`,
      redirect_uris: [this.redirectUrl],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: "none",
    };
  },
  state: () => kept.state,
  clientInformation: () => kept.client,
  saveClientInformation: (client) => void (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => void (kept.tokens = tokens),
  redirectToAuthorization: (where) => tell({ open: where.href }),
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  codeVerifier: () => kept.verifier,
  saveDiscoveryState: (found) => void (kept.found = found),
  discoveryState: () => kept.found,
};

async function whoAmI() {
  const client = new Client({ name: "judge", version: "1" });
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { authProvider: provider }));
  const answer = await client.callTool({ name: "get_current_user", arguments: {} });
  await client.close();
  return answer.structuredContent?.id;
}

const first = new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
try {
  await new Client({ name: "judge", version: "1" }).connect(first);
  throw new Error("the server asks nobody to sign in");
} catch (error) {
  if (!(error instanceof UnauthorizedError)) throw error;
}
const sent = await back;
if (sent.get("state") !== kept.state) throw new Error("state is not ours");
await first.finishAuth(version === "v2" ? sent : sent.get("code"));
const who = await whoAmI();
const before = kept.tokens;
kept.tokens = { ...before, access_token: "spent" };
const again = await whoAmI();
const isRenewed = kept.tokens.refresh_token !== before.refresh_token && kept.tokens.access_token !== "spent";
tell({ who, again, isRenewed, client: kept.client.client_id, scope: before.scope ?? "", iss: sent.get("iss") });
server.close();
process.exit(0);
