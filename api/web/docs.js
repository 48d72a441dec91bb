"use strict";

// Every text of the document goes in as text, never as markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== ""));
  return element;
}

// Descriptions mark names with backticks.
function prose(text) {
  return (text || "").split("`").map((part, index) => index % 2 ? make("code", {}, part) : part);
}

let api;

function resolve(value) {
  if (!value || !value.$ref) return value || {};
  return value.$ref.slice(2).split("/").reduce((found, name) => found[name], api);
}

function typeOf(schema) {
  if (schema.$ref) {
    const target = resolve(schema);
    return target.enum ? target.enum.join(" | ") : schema.$ref.split("/").pop();
  }
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.type === "array") return `list of ${typeOf(schema.items || {})}`;
  if (schema.type === "object" && schema.additionalProperties) return `map of ${typeOf(schema.additionalProperties)}`;
  return [schema.type || "any", schema.format].filter(Boolean).join(", ");
}

function limitsOf(schema) {
  const said = [["minimum", "≥ "], ["exclusiveMinimum", "> "], ["maxLength", "length ≤ "], ["default", "default "]];
  const isWorthSaying = (value) => value !== undefined && value !== null && !(Math.abs(value) > Number.MAX_SAFE_INTEGER);
  const parts = said.filter(([name]) => isWorthSaying(schema[name]))
    .map(([name, words]) => words + JSON.stringify(schema[name]));
  if (isWorthSaying(schema.maximum)) parts.push(`≤ ${schema.maximum}`);
  return parts.join(", ");
}

function fieldTable(rows) {
  if (!rows.length) return make("p", { class: "dim" }, "None.");
  const head = make("tr", {}, ...["Field", "Type", "Meaning"].map((text) => make("th", { scope: "col" }, text)));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows.map((row) => make("tr", {},
    make("td", {}, make("code", {}, row.name), row.required ? " *" : ""),
    make("td", {}, typeOf(row.schema), make("div", { class: "dim" }, limitsOf(row.schema))),
    make("td", {}, ...prose(row.description || row.schema.description))))));
}

function fieldsOf(schema) {
  const target = resolve(schema);
  const required = target.required || [];
  return Object.entries(target.properties || {}).map(([name, field]) =>
    ({ name, schema: field, required: required.includes(name) }));
}

function sample(schema, depth = 0) {
  const target = resolve(schema);
  if (target.examples) return target.examples[0];
  if (target.default !== undefined) return target.default;
  if (target.anyOf) return target.anyOf.some((option) => option.type === "null") ? null : sample(target.anyOf[0], depth);
  if (target.enum) return target.enum[0];
  if (target.type === "object") {
    if (depth > 3) return {};
    return Object.fromEntries(fieldsOf(target).filter((field) => field.required)
      .map((field) => [field.name, sample(field.schema, depth + 1)]));
  }
  return { array: [], integer: target.minimum > 0 ? target.minimum : 0, number: 0, boolean: false, string: "" }[target.type] ?? null;
}

function tryForm(path, method, operation) {
  const parameters = operation.parameters || [];
  const inputs = parameters.map((parameter) => ({ parameter, input: make("input", { autocomplete: "off" }) }));
  const content = operation.requestBody ? Object.entries(operation.requestBody.content)[0] : undefined;
  const isForm = content && content[0].includes("form");
  const body = content && make("textarea", { spellcheck: "false" });
  if (body) {
    const filled = content[1].example || sample(content[1].schema);
    body.value = isForm ? new URLSearchParams(filled).toString() : JSON.stringify(filled, null, 2);
  }
  const answer = make("pre", { "aria-live": "polite", tabindex: "0", hidden: "" });
  async function send(event) {
    event.preventDefault();
    answer.hidden = false;
    answer.textContent = "…";
    answer.textContent = await call(path, method, inputs, body && { text: body.value, type: content[0] });
  }
  return make("form", { class: "try", onsubmit: send },
    ...inputs.map(({ parameter, input }) => make("label", {}, `${parameter.name} (${parameter.in})`, input)),
    body ? make("label", {}, isForm ? "Form" : "JSON body", body) : "",
    make("button", {}, "Send"), answer);
}

async function call(path, method, inputs, body) {
  const headers = { Accept: "application/json" };
  const query = new URLSearchParams();
  for (const { parameter, input } of inputs) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value === "") continue;
    else if (parameter.in === "header") headers[parameter.name] = input.value;
    else for (const value of parameter.schema.type === "array" ? input.value.split(",") : [input.value]) query.append(parameter.name, value);
  }
  const token = document.getElementById("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = body.type;
  const url = query.size ? `${path}?${query}` : path;
  try {
    const response = await fetch(url, { method: method.toUpperCase(), headers, body: body && body.text });
    const text = await response.text();
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: as it came */ }
    return `${response.status} ${response.statusText}\n\n${shown.slice(0, 200000)}`;
  } catch (problem) {
    return `The request did not go through: ${problem.message}`;
  }
}

function responseTable(operation) {
  const rows = Object.entries(operation.responses).map(([status, value]) => {
    const response = resolve(value);
    const types = Object.entries(response.content || {});
    return make("tr", {}, make("td", {}, make("code", {}, status)), make("td", {}, response.description),
      make("td", {}, types.map(([type, item]) => `${type}: ${typeOf(item.schema || {})}`).join("; ")));
  });
  const head = make("tr", {}, ...["Status", "When", "Body"].map((text) => make("th", { scope: "col" }, text)));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
}

function fill(box, path, method, operation) {
  const content = operation.requestBody ? Object.values(operation.requestBody.content)[0] : undefined;
  const done = Object.entries(operation.responses).find(([status]) => status.startsWith("2"));
  const result = done && resolve(done[1]).content && resolve(done[1]).content["application/json"];
  const needs = operation["x-headwater-permission"];
  box.append(
    ...operation.description.split("\n\n").map((text) => make("p", {}, ...prose(text))),
    make("p", { class: "dim" }, `operation ${operation.operationId}`, needs ? `, needs: ${needs}` : ""),
    make("h3", {}, "Takes"),
    fieldTable([...(operation.parameters || []), ...(content ? fieldsOf(content.schema) : [])]),
    make("h3", {}, "Answers"), responseTable(operation),
    ...(result ? [make("h3", {}, "Result"), fieldTable(fieldsOf(result.schema))] : []),
    make("h3", {}, "Try it"), tryForm(path, method, operation));
}

function operationBox(path, method, operation) {
  const box = make("div", { class: "operation" });
  const details = make("details", { id: operation.operationId }, make("summary", {},
    make("span", { class: "method" }, method.toUpperCase()), make("code", {}, path), " ",
    make("span", { class: "dim" }, operation.summary)), box);
  details.addEventListener("toggle", () => { if (details.open && !box.childNodes.length) fill(box, path, method, operation); });
  details.words = `${path} ${operation.operationId} ${operation.description}`.toLowerCase();
  return details;
}

function show() {
  document.getElementById("version").textContent = api.info.version;
  document.getElementById("about").textContent = api.info.description;
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const domain = operation.tags[0];
      if (!groups.has(domain)) groups.set(domain, []);
      groups.get(domain).push(operationBox(path, method, operation));
    }
  }
  const names = [...groups.keys()].sort();
  document.getElementById("domains").replaceChildren(...names.map((name) => make("a", { href: `#domain-${name}` }, name)));
  document.getElementById("operations").replaceChildren(...names.map((name) =>
    make("section", {}, make("h2", { id: `domain-${name}` }, name), ...groups.get(name))));
  const linked = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (linked && linked.tagName === "DETAILS") { linked.open = true; linked.scrollIntoView(); }
}

document.getElementById("access").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("find").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of document.querySelectorAll("section")) {
    const boxes = [...section.querySelectorAll("details")];
    for (const box of boxes) box.hidden = !words.every((word) => box.words.includes(word));
    section.hidden = boxes.every((box) => box.hidden);
  }
});
fetch("/openapi.json").then((response) => response.json()).then((found) => { api = found; show(); })
  .catch((problem) => { document.getElementById("operations").textContent = `No description: ${problem.message}`; });
