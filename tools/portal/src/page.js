// What is seen and typed. One view at a time; text from outside only ever becomes text.

import "./old.js"; // before what needs it

import { readable, utf8 } from "./bytes.js";
import { Device, sleep } from "./device.js";
import { Refused } from "./http.js";
import { WrongCode } from "./security.js";
import * as wifi from "./wifi.js";

const POLL_MS = 1500;
const FRESH_MS = 4000; // a board that was asked for a new list has made it by then
const AWAY_MS = 2500; // a short absence is nobody's trouble
const WEP_LEN = 5;
const EMPTY = new Uint8Array(0);

const $ = (id) => document.getElementById(id);

const device = new Device(reached);
let board = null; // as version() says
let network = null; // the one chosen: {ssid, auth}; without ssid: the one that is typed
let away = 0;

// -- views ------------------------------------------------------------------------------------

function show(id) {
  for (const view of document.querySelectorAll("main > section")) view.hidden = view.id !== id;
  $("promise").hidden = !(board && board.needsCode && (id === "code" || id === "enter"));
  // Where a screen reader goes on; a field would raise the keyboard over the text.
  $(id).querySelector("h2").focus();
  window.scrollTo(0, 0);
}

function busy(title) {
  $("busy-title").textContent = title;
  show("busy");
}

function complain(field, text) {
  const told = $(field + "-error");
  told.textContent = text;
  told.hidden = !text;
  const input = $(field);
  input.setAttribute("aria-invalid", text ? "true" : "false");
  if (text) {
    input.focus();
    if (input.select) input.select();
  }
}

function say(id, text) {
  $(id).textContent = text;
  $(id).hidden = !text;
}

function reached(yes) {
  if (yes) {
    clearTimeout(away);
    away = 0;
    $("away").hidden = true;
  } else if (!away) {
    away = setTimeout(() => {
      $("away-joining").hidden = $("joining").hidden;
      $("away").hidden = false;
    }, AWAY_MS);
  }
}

function stop(title, text) {
  $("stopped-title").textContent = title;
  $("stopped-text").textContent = text;
  show("stopped");
}

/** Run a step; what nobody foresaw is told and not swallowed. */
function run(step) {
  step().catch((e) => {
    if (e instanceof WrongCode) {
      askCode("The device did not accept this code.");
    } else if (e instanceof Refused) {
      stop("The device refused", "Reload this page to try again. If that does not help, restart the device.");
    } else {
      stop("Something went wrong", "Reload this page to try again. (" + e.message + ")");
    }
  });
}

function onSubmit(form, step) {
  $(form).addEventListener("submit", (event) => {
    event.preventDefault();
    run(step);
  });
}

// -- the code ---------------------------------------------------------------------------------

async function begin() {
  busy("Looking for the device…");
  board = await device.version();
  $("warning-plain").hidden = board.scheme !== 0;
  $("warning-no-code").hidden = board.needsCode || board.scheme === 0;
  if (board.needsCode) askCode("");
  else await open("");
}

function askCode(error) {
  show("code");
  complain("pop", error);
}

async function open(code) {
  busy("Opening a secure connection…");
  try {
    await device.open(board.scheme, code);
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    if (board.scheme > 1) {
      stop("This device needs an app", "It speaks Security 2 only, which this page does not.");
    } else {
      askCode("The device takes no code just now: an app may be talking to it, or there were too many wrong ones. Wait a minute, or restart it.");
    }
    return;
  }
  $("pop").value = "";
  await look();
}

onSubmit("code-form", async () => {
  const code = $("pop").value.replace(/\s/g, ""); // there is none in a code
  if (!code) return complain("pop", "Enter the code first.");
  complain("pop", "");
  await open(code);
});

// -- the networks -----------------------------------------------------------------------------

/** What goes on at the board decides: this page may have been loaded anew. */
async function look() {
  const state = await wifi.state(device);
  if (state.kind === "connected") return finish(state);
  await choose(state.kind === "joining" ? "" : failure(state.kind, "the network chosen last"));
}

async function choose(notice) {
  busy("Looking for networks…");
  const found = board.canScan ? await wifi.networks(device) : [];
  if (!found) return follow(null);
  list(found);
  say("notice", notice);
  show("choose");
}

function list(found) {
  const rows = found.map((one) => {
    const name = element("span", "name", readable(one.ssid));
    name.dir = "auto";
    const usable = one.auth !== wifi.ENTERPRISE;
    const row = element("button", "network", name);
    row.type = "button";
    row.disabled = !usable;
    if (!usable) row.appendChild(element("span", "why", "company network, not supported"));
    const [level, words] = strength(one.rssi);
    const lock = one.auth === wifi.OPEN ? "no password" : "needs a password";
    row.appendChild(element("span", "unseen", ", " + words + " signal, " + lock));
    if (one.auth !== wifi.OPEN) row.appendChild(icon("lock"));
    row.appendChild(icon("signal", level));
    row.addEventListener("click", () => enter(one));
    return element("li", "", row);
  });
  $("networks").textContent = "";
  for (const row of rows) $("networks").appendChild(row);
  $("none").hidden = rows.length > 0 || !board.canScan;
  $("again").hidden = !board.canScan;
}

function strength(rssi) {
  if (rssi >= -55) return [4, "excellent"];
  if (rssi >= -67) return [3, "good"];
  if (rssi >= -78) return [2, "fair"];
  return [1, "weak"];
}

function element(kind, className, content) {
  const made = document.createElement(kind);
  made.className = className;
  if (typeof content === "string") made.textContent = content;
  else made.appendChild(content);
  return made;
}

function icon(name, level) {
  const made = $("icon-" + name).cloneNode(true);
  made.removeAttribute("id");
  if (level) made.setAttribute("class", "icon level" + level);
  return made;
}

$("again").addEventListener("click", () =>
  run(async () => {
    busy("Searching again…");
    if (await wifi.networks(device)) await sleep(FRESH_MS);
    await choose("");
  })
);
$("other").addEventListener("click", () => enter({ ssid: null, auth: null }));
$("back").addEventListener("click", () => run(() => choose("")));

// -- name and password ------------------------------------------------------------------------

function enter(one) {
  network = one;
  const typed = !one.ssid;
  $("enter-title").textContent = typed ? "Other network" : "Join " + quoted(one.ssid);
  $("ssid-row").hidden = !typed;
  $("ssid").value = $("password").value = "";
  $("password-row").hidden = one.auth === wifi.OPEN;
  $("open-note").hidden = one.auth !== wifi.OPEN;
  $("optional").hidden = !typed;
  for (const field of ["ssid", "password", "enter-form"]) complain(field, "");
  reveal(false);
  show("enter");
}

function reveal(yes) {
  $("password").type = yes ? "text" : "password";
  $("reveal").checked = yes;
}

$("reveal").addEventListener("change", () => reveal($("reveal").checked));

const quoted = (ssid) => "“" + readable(ssid) + "”";

onSubmit("enter-form", async () => {
  for (const field of ["ssid", "password", "enter-form"]) complain(field, "");
  const ssid = network.ssid || utf8($("ssid").value);
  if (!ssid.length) return complain("ssid", "Enter the network’s name.");
  if (ssid.length > wifi.MAX_SSID_LEN) {
    return complain("ssid", "Too long: a network’s name has at most 32 bytes, this one has " + ssid.length + ".");
  }
  const password = network.auth === wifi.OPEN ? EMPTY : utf8($("password").value);
  const fault = passwordFault(password.length);
  if (fault) return complain("password", fault);
  busy("Handing over " + quoted(ssid) + "…");
  await wifi.join(device, ssid, password);
  await follow(ssid);
});

function passwordFault(length) {
  if (length > wifi.MAX_PASSPHRASE_LEN) return "Too long: a Wi-Fi password has at most 63 characters.";
  const maybeOpen = network.auth === wifi.OPEN || network.auth === null;
  if (!length) return maybeOpen ? "" : "Enter the network’s password.";
  const maybeWep = network.auth === wifi.WEP || (network.auth === null && length === WEP_LEN);
  if (length < wifi.MIN_PASSPHRASE_LEN && !maybeWep) return "Too short: a Wi-Fi password has at least 8 characters.";
  return "";
}

// -- how it goes ------------------------------------------------------------------------------

/** Show the join until it has ended. ssid: null if it began before this page was loaded. */
async function follow(ssid) {
  $("joining-title").textContent = ssid ? "Joining " + quoted(ssid) : "Joining the network";
  $("progress").textContent = "The device tries to join. This takes some seconds.";
  show("joining");
  for (;;) {
    const state = await wifi.state(device);
    if (state.kind === "connected") return finish(state);
    if (state.kind !== "joining") return fail(state.kind, ssid);
    const left = state.remaining;
    if (left !== null) {
      $("progress").textContent =
        "That attempt failed. The device tries again: " +
        (left === 1 ? "1 attempt left." : left + " attempts left.");
    }
    await sleep(POLL_MS);
  }
}

function failure(kind, name) {
  return kind === "wrong-password"
    ? "The password for " + name + " was not accepted. Check it and try again."
    : "The device did not find " + name + ". Is it in reach, and a 2.4 GHz network? The device cannot use 5 GHz.";
}

async function fail(kind, ssid) {
  if (!ssid || !network) return choose(failure(kind, "the network chosen last"));
  // What was typed is still there, to be corrected.
  show("enter");
  const field = kind === "wrong-password" && !$("password-row").hidden ? "password" : "enter-form";
  complain(field, failure(kind, quoted(ssid)));
}

function finish(state) {
  $("password").value = "";
  $("done-network").textContent = readable(state.ssid);
  $("done-ip").textContent = state.ip;
  show("done");
}

run(begin);
