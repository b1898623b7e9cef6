// The local cloud's page: shows what the server streams, asks it for what a person does.
// No token is ever put into the page.

import { $, id, option, quiet, setText, show, tick } from "./rows.js";

const TOKEN_LEN = 32; // bytes
const SAID_MS = 5000;

let key = ""; // of the server's run; goes with every action
let places = []; // the requests that a fault can be bound to
let state = null;

// -- saying and asking -------------------------------------------------------------------------

let saidTimer = 0;
function say(text, failed = false) {
  // An open dialog hides and silences what is outside of it.
  (document.querySelector("dialog[open]") ?? document.body).append($("said"));
  $("said").textContent = text;
  $("said").className = failed ? "shown bad" : "shown";
  clearTimeout(saidTimer);
  saidTimer = setTimeout(() => ($("said").className = ""), SAID_MS);
}

async function act(action, fields, done) {
  try {
    const answer = await fetch(`/page/${action}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Homing-Key": key },
      body: JSON.stringify(fields),
    });
    if (answer.ok) {
      say(done);
      return true;
    }
    const { message } = await answer.json();
    say(`Refused: ${message} (${answer.status})`, true);
  } catch {
    say("The cloud does not answer.", true);
  }
  return false;
}
// -- what is shown ---------------------------------------------------------------------------

function thingRow(thing) {
  const { thing_id, activated, users } = thing;
  const toggle = {
    label: activated ? "Deactivate" : "Activate",
    click: () =>
      act("activate", { thing_id, active: !activated }, activated ? "Deactivated." : "Activated."),
  };
  const badges = [activated ? ["activated", "ok"] : ["not activated", "off"]];
  if (users.length) badges.push([users.length > 1 ? `linked to ${users.length}` : "linked", "ok"]);
  return {
    key: thing_id,
    parts: [id(thing_id)],
    badges,
    buttons: [{ label: "Link…", click: () => openLink(thing_id) }, toggle],
  };
}

function linkRow({ user, thing_id, at, how }) {
  return {
    key: `${user} ${thing_id}`,
    parts: [user, quiet("→"), id(thing_id)],
    badges: [[how === "token" ? "linked by token" : "linked by shared id", "ok"]],
    at,
    buttons: [{ label: "Unlink", click: () => act("unlink", { user, thing_id }, "Unlinked.") }],
  };
}

function waitingRow({ side, who, end }, number) {
  const app = side === "app";
  return {
    key: `waiting ${side} ${who} ${number}`,
    parts: app ? [who, quiet("→ ?")] : [quiet("? →"), id(who)],
    badges: [[app ? "waits for its thing" : "waits for the app", "wait"]],
    end,
  };
}

const TONES = { requested: "wait", confirmed: "ok", timedout: "bad", failed: "bad", discarded: "off" };

function requestRow({ request_id, user, node_id, operation, how, status, at, end }) {
  const by = operation === "add" && { text: `by ${how}`, className: "quiet" };
  const words = operation === "add" ? "add to" : "remove from";
  return {
    key: request_id,
    parts: [node_id ? id(node_id) : quiet("a node"), quiet(words), user, ...(by ? [by] : [])],
    badges: [[status, TONES[status] ?? "off"]],
    ...(status === "requested" ? { end } : { at }),
  };
}

// What was asked of a node and has not been reported yet: "node device param" → { value, until }.
const asked = new Map();
const ASKED_MS = 5000;

async function write(node, device, param, value) {
  const { node_id } = node;
  const fields = { node_id, device: device.name, param: param.name, value };
  const name = [node_id, device.name, param.name].join("\n");
  asked.set(name, { value, until: Date.now() + ASKED_MS });
  render();
  setTimeout(render, ASKED_MS + 50);
  if (!(await act("write", fields, `Asked the node for ${param.name} ${value ? "on" : "off"}.`))) {
    asked.delete(name);
    render();
  }
}

function paramRow(node, device, param) {
  const name = [node.node_id, device.name, param.name].join("\n");
  const wait = asked.get(name);
  if (wait && wait.value === param.value) asked.delete(name);
  const waits = wait && wait.value !== param.value && Date.now() < wait.until;
  const isBool = typeof param.value === "boolean" || param.type === "bool";
  let why;
  if (!node.users.length) why = "nobody has this node: map it first";
  else if (!node.connected) why = "the node is not connected";
  const toggle = {
    label: "Toggle",
    on: param.value === true,
    why,
    click: () => write(node, device, param, param.value !== true),
  };
  const missing = param.readable ? "not reported" : "write-only";
  const value = param.value === null ? missing : String(param.value) || "(empty)";
  const shown = isBool && param.writable ? [] : [{ text: value, className: param.value ? "value" : "value quiet" }];
  return {
    key: `param ${name}`,
    kind: "param",
    parts: [quiet(device.name), param.name, ...shown],
    badges: waits ? [["waiting for the node’s report", "wait"]] : [],
    buttons: isBool && param.writable ? [toggle] : [],
  };
}

function nodeRows(node) {
  const { node_id, users, connected, info } = node;
  const remove = (user) => ({
    label: users.length > 1 ? `Remove from ${user}` : "Remove",
    click: () => act("unmap", { user, node_id }, `Removed from ${user}.`),
  });
  const head = {
    key: node_id,
    kind: "node",
    parts: [id(node_id), ...users.map(quiet), ...(info ? [quiet(info)] : [])],
    badges: [
      [connected ? "connected" : "not connected", connected ? "ok" : "off"],
      [users.length ? "mapped" : "not mapped", users.length ? "ok" : "off"],
    ],
    buttons: users.map(remove),
  };
  const parts = [...node.devices, ...node.services];
  return [head, ...parts.flatMap((d) => d.params.map((param) => paramRow(node, d, param)))];
}

const groupRow = ({ group_id, name, user, nodes }) => ({
  key: group_id,
  parts: [name, quiet(user), ...nodes.map(id)],
  badges: [[times(nodes.length, "node"), nodes.length ? "ok" : "off"]],
});

const times = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
const hostName = (host) => (host === "*" ? "both clouds" : host);
function placeOf({ host, method, path }) {
  const known = places.find((p) => p.host === host && p.method === method && p.path === path);
  if (known) return `${method} ${known.route}`;
  if (path === "*" && method === "*") return `any request to ${hostName(host)}`;
  return `${method === "*" ? "" : method + " "}${path} at ${hostName(host)}`;
}

function faultRow(fault) {
  const { number, hits, spent, cut, certificate, status, delay_s, retry_after, body } = fault;
  const what = [];
  if (delay_s) what.push(`wait ${delay_s} s`);
  if (certificate) what.push(`certificate: ${certificate}`);
  else if (cut) what.push(`cut ${cut} handling`);
  else if (body) what.push("another body");
  else if (status) what.push(`status ${status}` + (retry_after ? `, Retry-After ${retry_after}` : ""));
  const count = fault.times === null ? `hit ${hits}×` : `hit ${hits} of ${fault.times}`;
  return {
    key: String(number),
    parts: [what.join(", "), quiet(certificate ? hostName(fault.host) : placeOf(fault))],
    badges: [
      [spent ? "spent" : "armed", spent ? "off" : "fault"],
      [count, hits ? "fault" : "off"],
    ],
    buttons: [{ label: "Remove", click: () => act("remove-fault", { number }, "Fault removed.") }],
  };
}

// Short names for a list that is read at a glance; any other host is shown as it was asked for.
const NAMES = {
  "api.thethings.io": "thethings.io",
  "api.rainmaker.espressif.com": "RainMaker",
  "a123-ats.iot.us-east-1.amazonaws.com": "RainMaker",
};

function logTone({ status }) {
  if (status === null || status >= 500) return "bad";
  return status >= 400 ? "wait" : "ok";
}

function logRows(log) {
  const groups = [];
  for (const entry of log) {
    const { host, method, route, status, fault, why } = entry;
    const sign = [host, method, route, status, fault, why].join(" ");
    const last = groups.at(-1);
    if (last?.sign === sign) {
      last.count += 1;
      last.first = entry.at;
    } else groups.push({ sign, entry, first: entry.at, count: 1 });
  }
  const seen = new Map(); // counted from the oldest, so that a new one changes no other's key
  for (const group of groups.toReversed()) {
    const name = `${group.first} ${group.sign}`;
    seen.set(name, (seen.get(name) ?? 0) + 1);
    group.key = `${name} ${seen.get(name)}`;
  }
  return groups.map(({ key, entry, count }) => ({
    key,
    parts: [
      { text: entry.method, className: "method" },
      { text: entry.route, className: "route" },
      quiet(NAMES[entry.host] ?? entry.host),
      quiet(count > 1 ? `×${count}` : ""),
      ...(entry.why ? [quiet(entry.why)] : []),
    ],
    badges: [
      ...(entry.fault ? [[entry.fault, "fault"]] : []),
      [entry.status === null ? "cut" : String(entry.status), logTone(entry)],
    ],
    at: entry.at,
  }));
}

function render() {
  if (!state) return;
  const { thethings, rainmaker, faults, log } = state;
  show("things", thethings.things.map(thingRow));
  show("links", [...thethings.waiting.map(waitingRow), ...thethings.links.map(linkRow)]);
  show("thethings-users", thethings.users.map(({ name, sessions, links }) => ({
    key: name,
    parts: [name, quiet(`${times(links, "thing")}, ${times(sessions, "session")}`)],
  })));
  show("requests", rainmaker.requests.map(requestRow));
  show("nodes", rainmaker.nodes.flatMap(nodeRows));
  setText($("nodes-count"), String(rainmaker.nodes.length || ""));
  show("groups", rainmaker.groups.map(groupRow));
  show("rainmaker-users", rainmaker.users.map(({ name, user_id, nodes }) => ({
    key: name,
    parts: [name, quiet(times(nodes, "node")), id(user_id)],
  })));
  show("faults", faults.map(faultRow));
  show("log", logRows(log));
  setText($("faults-count"), String(faults.filter((f) => !f.spent).length || ""));
  $("clear").disabled = !faults.length;
  $("mqtt").hidden = !state.mqtt_port;
  setText($("mqtt-address"), `127.0.0.1:${state.mqtt_port}`);
  for (const node of [$("address"), document.querySelector(".address")]) {
    setText(node, `127.0.0.1:${state.port}`);
  }
}

// -- the stream ------------------------------------------------------------------------------

function live(text, tone) {
  setText($("live"), text);
  $("live").className = `badge ${tone}`;
  document.body.classList.toggle("stale", tone !== "ok");
}

function listen() {
  const stream = new EventSource("/page/events");
  stream.addEventListener("hello", (event) => {
    const hello = JSON.parse(event.data);
    ({ key, places } = hello);
    document.body.classList.toggle("alone", hello.alone);
    fillPlaces();
  });
  stream.addEventListener("state", (event) => {
    state = JSON.parse(event.data);
    tick(state.now);
    render();
    live("live", "ok");
    // From now on what is new may be seen to be new.
    requestAnimationFrame(() => document.body.classList.add("settled"));
  });
  stream.addEventListener("clock", (event) => {
    tick(JSON.parse(event.data).now);
  });
  stream.onerror = () => {
    live("no connection", "bad");
    // A browser gives up for good on some answers; a cloud that was started again is worth asking.
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  };
}

// -- what a person does ----------------------------------------------------------------------

function fillPlaces() {
  const select = $("place");
  const hosts = [...new Set(places.map((p) => p.host))];
  const chosen = select.value;
  select.replaceChildren(option("* * *", "any request to both clouds"));
  for (const host of hosts) {
    const group = document.createElement("optgroup");
    group.label = host;
    group.append(option(`${host} * *`, `any request to ${host}`));
    for (const p of places.filter((each) => each.host === host)) {
      group.append(option(`${host} ${p.method} ${p.path}`, `${p.method} ${p.route}`));
    }
    select.append(group);
  }
  if (chosen) select.value = chosen;
}

function fitFaultForm() {
  const what = $("what").value;
  for (const label of document.querySelectorAll("#fault [data-for]")) {
    label.hidden = label.dataset.for !== what;
    label.querySelector("input").disabled = label.hidden;
  }
}

async function injectFault(event) {
  event.preventDefault();
  const [what, kind] = $("what").value.split(":");
  const [host, method, path] = $("place").value.split(" ");
  const fields = { host, method, path, times: $("times").value ? Number($("times").value) : null };
  if (what === "status") {
    fields.status = Number($("status").value);
    fields.retry_after = $("retry-after").value.trim();
  } else if (what === "delay_s") fields.delay_s = Number($("delay").value);
  else fields[what] = kind;
  await act("add-fault", fields, "Fault injected.");
}

function fitAddForm() {
  const given = document.querySelector("[name=token-from]:checked").value === "given";
  $("add-token").disabled = !given;
  if (!given) $("add-token").value = "";
}

function drawToken() {
  const bytes = crypto.getRandomValues(new Uint8Array(TOKEN_LEN));
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function addThing(event) {
  event.preventDefault();
  const drawn = $("add-token").disabled;
  const token = drawn ? drawToken() : $("add-token").value;
  if (drawn) {
    try {
      await navigator.clipboard.writeText(token);
    } catch {
      say("The browser keeps the clipboard closed: give a token of your own.", true);
      return;
    }
  }
  const fields = { token, activated: $("add-activated").checked };
  const done = drawn ? "Added; its token is on the clipboard." : "Added.";
  if (await act("add-thing", fields, done)) $("add").close();
}

function openLink(thingId = "") {
  const { users, things } = state.thethings;
  $("link-user").replaceChildren(...users.map(({ name }) => option(name, name)));
  $("link-thing").replaceChildren(
    option("", "the one with this token"),
    ...things.map(({ thing_id }) => option(thing_id, thing_id)),
  );
  $("link-thing").value = thingId;
  fitLinkForm();
  $("link").showModal();
}

function fitLinkForm() {
  const byToken = !$("link-thing").value;
  $("link-token-label").hidden = !byToken;
  $("link-token").disabled = !byToken;
  if (!byToken) $("link-token").value = "";
}

async function linkThing(event) {
  event.preventDefault();
  const fields = { user: $("link-user").value, thing_id: $("link-thing").value, token: $("link-token").value };
  if (await act("link", fields, "Linked.")) $("link").close();
}

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector(".cancel").onclick = () => dialog.close();
  dialog.onclose = () => {
    document.body.append($("said"));
    for (const input of dialog.querySelectorAll("[type=password]")) input.value = "";
  };
}
$("open-add").onclick = () => $("add").showModal();
$("open-link").onclick = () => state && openLink();
$("add").onchange = fitAddForm;
$("link-thing").onchange = fitLinkForm;
$("what").onchange = fitFaultForm;
$("clear").onclick = () => act("clear-faults", {}, "No faults any more.");
$("fault").onsubmit = injectFault;
$("add").querySelector("form").onsubmit = addThing;
$("link").querySelector("form").onsubmit = linkThing;

fitFaultForm();
listen();
