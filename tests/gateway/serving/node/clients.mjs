// A2A's client for JavaScript over every transport, to an agent of ours and to one of others behind the gateway.
// usage: node clients.mjs PACKAGES BASE_URL TOKEN
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [packages, base, token] = process.argv.slice(2);
const require = createRequire(`${packages}/package.json`);
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const unwrap = (module) => module.default ?? module;
const client = { ...unwrap(await load("@a2a-js/sdk/client")), ...(await load("@a2a-js/sdk/client")) };
const overGrpc = { ...unwrap(await load("@a2a-js/sdk/client/grpc")), ...(await load("@a2a-js/sdk/client/grpc")) };
const { Role, TaskState } = { ...unwrap(await load("@a2a-js/sdk")), ...(await load("@a2a-js/sdk")) };

const withToken = (input, init = {}) => {
  const headers = new Headers(init.headers);
  headers.set("authorization", `Bearer ${token}`);
  return fetch(input, { ...init, headers });
};
const legacyCompat = { enabled: true };
const factories = {
  JSONRPC: (fetchImpl) => new client.JsonRpcTransportFactory({ fetchImpl, legacyCompat }),
  "HTTP+JSON": (fetchImpl) => new client.RestTransportFactory({ fetchImpl, legacyCompat }),
  GRPC: () => new overGrpc.GrpcTransportFactory({}),
};
const options = { serviceParameters: { authorization: `Bearer ${token}` } };
let number = 0;
const asking = (text, more = {}) => ({
  tenant: "",
  message: {
    messageId: `js-${++number}`,
    contextId: "",
    taskId: "",
    role: Role.ROLE_USER,
    parts: [{ content: { $case: "text", value: text }, metadata: undefined, filename: "", mediaType: "" }],
    metadata: undefined,
    extensions: [],
    referenceTaskIds: [],
    ...more,
  },
  configuration: undefined,
  metadata: undefined,
});
const text = (parts) => parts.map((part) => (part.content?.$case === "text" ? part.content.value : "")).join("");

let passed = 0;
const failures = [];
async function check(name, work) {
  try {
    await work();
    passed += 1;
  } catch (error) {
    failures.push(`${name}: ${error?.stack ?? error}`);
  }
}
function expect(is, what) {
  if (!is) throw new Error(`expected ${what}`);
}

async function connect(agent, transport, version, fetchImpl = withToken) {
  const resolver = new client.DefaultAgentCardResolver({ fetchImpl: withToken });
  const card = await resolver.resolve(`${base}/a2a/${agent}/`, ".well-known/agent-card.json");
  const chosen = { ...card, supportedInterfaces: card.supportedInterfaces.filter((each) => each.protocolVersion === version) };
  const factory = new client.ClientFactory({ transports: [factories[transport](fetchImpl)], preferredTransports: [transport] });
  return factory.createFromAgentCard(chosen);
}

const ended = TaskState.TASK_STATE_COMPLETED;
for (const agent of ["headwater", "echo"]) {
  const said = agent === "echo" ? "task one" : "hello";
  for (const [transport, version] of [["JSONRPC", "1.0"], ["HTTP+JSON", "1.0"], ["GRPC", "1.0"], ["JSONRPC", "0.3"], ["HTTP+JSON", "0.3"]]) {
    if (agent === "echo" && version === "0.3" && transport === "HTTP+JSON") continue; // the sample does not speak it
    const name = `${agent} over ${transport} ${version}`;
    await check(`${name}: a message`, async () => {
      const speaker = await connect(agent, transport, version);
      const task = await speaker.sendMessage(asking(said), options);
      expect(task.status?.state === ended && task.artifacts.length > 0, `a completed task, not ${JSON.stringify(task)}`);
    });
    await check(`${name}: a stream`, async () => {
      const speaker = await connect(agent, transport, version);
      const kinds = [];
      for await (const event of speaker.sendMessageStream(asking(said), options)) kinds.push(event.payload?.$case);
      expect(kinds[0] === "task" && kinds.at(-1) === "statusUpdate" && kinds.includes("artifactUpdate"), `a task first, not ${kinds}`);
    });
    await check(`${name}: a task again, and one that is not there`, async () => {
      const speaker = await connect(agent, transport, version);
      const task = await speaker.sendMessage(asking(said), options);
      const again = await speaker.getTask({ tenant: "", id: task.id, historyLength: undefined }, options);
      expect(again.id === task.id && again.status?.state === ended, "the same task");
      const missing = await speaker.getTask({ tenant: "", id: "nobodys", historyLength: undefined }, options).then(() => "", (error) => `${error}`);
      expect(/not ?found|no such/i.test(missing), `that there is none, not ${missing}`);
    });
    await check(`${name}: a question and its answer`, async () => {
      const speaker = await connect(agent, transport, version);
      const asked = await speaker.sendMessage(asking(agent === "echo" ? "task: ask" : "ask"), options);
      expect(asked.status?.state === TaskState.TASK_STATE_INPUT_REQUIRED, "a question");
      const more = { taskId: asked.id, contextId: asked.contextId };
      const answered = await speaker.sendMessage(asking(agent === "echo" ? "task EU" : "EU", more), options);
      expect(answered.id === asked.id && answered.status?.state === ended, "the answer in the same task");
      if (agent === "headwater") expect(text(answered.status.message.parts) === "region: EU", "what was answered");
    });
  }
}
await check("a stranger is refused over each transport", async () => {
  for (const transport of ["JSONRPC", "HTTP+JSON", "GRPC"]) {
    const speaker = await connect("headwater", transport, "1.0", fetch);
    const refused = await speaker.sendMessage(asking("hello"), { serviceParameters: { authorization: "Bearer nonsense" } }).then(() => "", (error) => `${error}`);
    expect(/token|401/i.test(refused), `a refusal over ${transport}, not ${refused}`);
  }
});
for (const failure of failures) console.log("FAIL", failure);
console.log(`a2a-js passed=${passed} failed=${failures.length}`);
process.exit(failures.length ? 1 : 0);
