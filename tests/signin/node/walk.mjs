// A person at a real browser: invited, signs in, answers applications, is locked out. Every page is looked at with axe, in
// light and dark, on a desk and on a phone; pictures are the record.
// usage: PACKAGES=… CHROMIUM=… PICTURES=folder node walk.mjs < JSON: what there is to visit
import { createRequire } from "node:module";
import { createServer } from "node:http";
import { mkdirSync, readFileSync } from "node:fs";
import { text } from "node:stream/consumers";

const require = createRequire(`${process.env.PACKAGES}/package.json`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const given = JSON.parse(await text(process.stdin));
const pictures = process.env.PICTURES;
mkdirSync(pictures, { recursive: true });

const found = { steps: [], violations: [], complaints: [] };
const arrived = [];
const waiting = createServer((request, response) => {
  if (request.url.startsWith("/callback")) arrived.push(new URL(request.url, "http://127.0.0.1").searchParams);
  response.setHeader("content-type", "text/html");
  response.end("<!doctype html><html lang=en><title>The application</title><main><h1>Back at the application</h1></main>");
});
await new Promise((ready) => waiting.listen(given.port, "127.0.0.1", ready));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-gpu"],
});

function expect(is, what) {
  if (!is) throw new Error(what);
  found.steps.push(what);
}

async function opened(more = {}) {
  const context = await browser.newContext({ viewport: { width: 960, height: 760 }, ...more });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on("console", (said) => {
    const isStatus = /status of 4\d\d|favicon/.test(said.text());
    if (said.type() === "error" && !isStatus) found.complaints.push(`${page.url()}: ${said.text()}`);
  });
  page.on("pageerror", (error) => found.complaints.push(`${page.url()}: ${error.message}`));
  return page;
}

async function look(page, name) {
  await page.evaluate(axe);
  for (const [scheme, width] of [["light", 960], ["dark", 960], ["dark", 360], ["light", 360]]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 760 });
    const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    for (const { id, nodes } of result.violations) found.violations.push(`${name} ${scheme} ${width}: ${id} ${nodes[0].target}`);
    const isWide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    if (isWide) found.violations.push(`${name} ${width}: wider than the screen`);
    if (scheme === "dark" && width === 360) await page.screenshot({ path: `${pictures}/${name}-phone.png`, fullPage: true });
  }
  await page.setViewportSize({ width: 960, height: 760 });
  await page.emulateMedia({ colorScheme: "light" });
  await page.locator("main").screenshot({ path: `${pictures}/${name}.png` });
}

async function signIn(page, login, password) {
  await page.getByLabel("E-mail or name").fill(login);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

async function invitation() {
  const page = await opened();
  await page.goto(given.invitation);
  expect(!page.url().includes("#"), "the link's secret leaves the address bar");
  expect((await page.getByLabel("The code of your link").inputValue()).startsWith("hwl_"), "the link's secret is filled in");
  await look(page, "invitation");
  await page.getByLabel("New password").fill("short");
  await page.getByRole("button", { name: "Set the password" }).click();
  await page.getByText("shorter than").waitFor();
  await look(page, "invitation-weak");
  await page.getByLabel("New password").fill(given.password);
  await page.getByRole("button", { name: "Set the password" }).click();
  await page.getByText("You are signed in").waitFor();
  expect(true, "an invited person sets a password and is signed in");
  await look(page, "signed-in");
  await page.goto("about:blank");
  await page.goto(given.invitation);
  await page.getByLabel("New password").fill(given.password);
  await page.getByRole("button", { name: "Set the password" }).click();
  await page.getByText("This link does not work any more").waitFor();
  expect(true, "a link works once");
  await page.goto("about:blank");
  await page.goto(given.expired);
  await page.getByLabel("New password").fill(given.password);
  await page.getByRole("button", { name: "Set the password" }).click();
  await page.getByText("This link does not work any more").waitFor();
  expect(true, "an expired invitation is told");
  await look(page, "invitation-expired");
}

async function application() {
  const page = await opened();
  await page.goto(given.authorize);
  await look(page, "sign-in");
  await signIn(page, given.login, "not the password");
  await page.getByText("The name or the password is not right").waitFor();
  expect(true, "a wrong password is told");
  await look(page, "wrong-password");
  await signIn(page, given.login, given.password);
  await page.getByRole("heading", { name: "Allow access?" }).waitFor();
  await look(page, "consent");
  await page.getByRole("button", { name: "Deny" }).click();
  await page.waitForURL(/\/callback/);
  expect(arrived.pop().get("error") === "access_denied", "who denies is sent back with that");
  await page.goto(given.authorize);
  await page.getByRole("button", { name: "Allow" }).click();
  await page.waitForURL(/\/callback/);
  const sent = arrived.pop();
  expect(sent.get("code")?.startsWith("hwc_") && sent.get("state") === "xyz", "who allows is sent back with a code");
  const form = { grant_type: "authorization_code", code: sent.get("code"), ...given.redeem };
  const body = new URLSearchParams(form);
  const tokens = await (await fetch(`${given.origin}/oauth/token`, { method: "POST", body })).json();
  const hold = async () => {
    const headers = { authorization: `Bearer ${tokens.access_token}` };
    return (await fetch(`${given.api}/v1/sessions`, { headers })).status;
  };
  expect((await hold()) === 200, "the application acts for the person");
  await page.goto(`${given.origin}/auth/applications`);
  await look(page, "applications");
  await page.getByRole("button", { name: /^Sign .* out$/ }).first().click();
  await page.getByText("It acts for you no more").waitFor();
  expect((await hold()) === 401, "who revokes ends what was allowed");
  await page.goto(`${given.origin}/auth/applications`);
  await page.getByText("No application acts for you").waitFor();
}

async function device() {
  const page = await opened();
  await page.goto(`${given.origin}/oauth/device`);
  await signIn(page, given.login, given.password);
  await page.getByLabel("Code").fill(given.userCode);
  await look(page, "device-code");
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByText("Allow this only if you started it yourself").waitFor();
  await look(page, "device");
  await page.getByRole("button", { name: "Allow" }).click();
  await page.getByText("The device is signed in").waitFor();
  expect(true, "a device is signed in");
}

async function withoutScriptsByKeyboard() {
  const page = await opened({ javaScriptEnabled: false });
  const press = async (...keys) => { for (const key of keys) await page.keyboard.press(key); };
  await page.goto(given.authorize);
  await press("Tab", "Tab");
  await page.keyboard.type(given.login);
  await press("Tab");
  await page.keyboard.type(given.password);
  await press("Tab", "Enter");
  await page.getByRole("heading", { name: "Allow access?" }).waitFor();
  const focus = page.locator(":focus");
  await press("Tab");
  expect((await focus.textContent()) === "Allow", "Allow is the first stop of the Tab key");
  const outline = await focus.evaluate((it) => getComputedStyle(it).outlineStyle);
  expect(outline !== "none", "what has the focus is outlined");
  await press("Tab");
  expect((await focus.textContent()) === "Deny", "Deny is the second");
  await press("Shift+Tab", "Enter");
  await page.waitForURL(/\/callback/);
  expect(arrived.pop().get("code")?.startsWith("hwc_"), "signing in and allowing takes neither scripts nor a mouse");
}

async function passkey() {
  const page = await opened();
  const device = await page.context().newCDPSession(page);
  await device.send("WebAuthn.enable");
  const options = {
    protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
    automaticPresenceSimulation: true,
  };
  const { authenticatorId } = await device.send("WebAuthn.addVirtualAuthenticator", { options });
  await page.goto(`${given.local}/auth/passkeys`);
  await signIn(page, given.login, given.password);
  await page.getByLabel("What shall it be called?").fill("Ann's laptop");
  await look(page, "passkeys-none");
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await page.getByRole("button", { name: "Remove Ann's laptop" }).waitFor();
  await look(page, "passkeys");
  const kept = await device.send("WebAuthn.getCredentials", { authenticatorId });
  expect(kept.credentials.length === 1, "a device keeps a passkey");
  await page.context().clearCookies();
  await page.goto(`${given.local}/auth/sign-in?next=${encodeURIComponent("/auth/passkeys")}`);
  await look(page, "sign-in-passkey");
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.getByRole("button", { name: "Remove Ann's laptop" }).waitFor();
  expect(true, "a passkey signs in without a name or a password");
  await page.getByRole("button", { name: "Remove Ann's laptop" }).click();
  await page.getByRole("button", { name: "Remove Ann's laptop" }).waitFor({ state: "detached" });
  await page.context().clearCookies();
  await page.goto(`${given.local}/auth/sign-in`);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.getByText("The passkey did not work").waitFor();
  expect(true, "a passkey that was removed lets nobody in");
  await device.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: false });
  await page.goto(`${given.local}/auth/sign-in`);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.getByText("The device gave no answer").waitFor();
  expect(true, "a device that does not answer is told, and nothing is sent");
}

async function framed() {
  const page = await opened();
  found.complaints.length = 0;
  await page.goto(`http://127.0.0.1:${given.port}/`);
  await page.setContent(`<iframe src="${given.origin}/auth/sign-in"></iframe>`);
  await page.waitForTimeout(500);
  const inside = page.frames()[1];
  const isShown = inside ? await inside.getByLabel("Password").count().catch(() => 0) : 0;
  expect(isShown === 0, "no page shows inside of another's");
  found.complaints.length = 0;  // the browser says so
}

async function forgotten() {
  const page = await opened();
  await page.goto(`${given.origin}/auth/forgot`);
  await look(page, "forgot");
  await page.getByLabel("E-mail or name").fill("nobody");
  await page.getByRole("button", { name: "Send the link" }).click();
  await page.getByText("If somebody goes by that name").waitFor();
  expect(true, "asking for a link tells nothing about who is there");
}

async function lockedOut() {
  const page = await opened();
  await page.goto(`${given.origin}/auth/sign-in`);
  const isFull = () => page.getByText("Too many failed sign-ins").count();
  for (let attempt = 0; attempt < 60 && !(await isFull()); attempt++) {
    await Promise.all([page.waitForNavigation(), signIn(page, given.login, `guess ${attempt}`)]);
  }
  await Promise.all([page.waitForNavigation(), signIn(page, given.login, given.password)]);
  expect(await isFull(), "after too many guesses the right password waits too");
  await look(page, "locked-out");
}

try {
  const parts = [invitation, application, device, withoutScriptsByKeyboard, passkey, forgotten, framed, lockedOut];
  for (const part of parts) await part();
} catch (error) {
  found.error = String(error.stack ?? error);
}
await browser.close();
waiting.close();
console.log(JSON.stringify(found));
