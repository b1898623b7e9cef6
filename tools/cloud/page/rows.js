// Lists of rows that change while someone looks at them, and the times in them.
// Everything from the server becomes text, never markup.

export const $ = (id) => document.getElementById(id);

let now = 0; // the cloud's clock, UTC seconds

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

export function option(value, text) {
  const made = element("option", "", text);
  made.value = value;
  return made;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function span(seconds, round = Math.floor) {
  if (seconds < 60) return `${round(seconds)} s`;
  if (seconds < 3600) return `${round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${round(seconds / 3600)} h`;
  return `${round(seconds / 86400)} d`;
}

function when(time) {
  const { at, end } = time.dataset;
  if (end) return now < end ? `${span(end - now, Math.ceil)} left` : "over";
  return now - at < 1 ? "now" : `${span(now - at)} ago`;
}

function utc(seconds) {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? "–" : date.toISOString().replace("T", " ").slice(0, 19) + " UTC";
}

export function tick(seconds) {
  now = seconds;
  setText($("clock"), utc(now));
  for (const time of document.querySelectorAll("time[data-at], time[data-end]")) {
    setText(time, when(time));
  }
}

// A row is { key, kind, parts, badges, at | end, buttons }; elements are kept as long as their key
// is, so that focus, selection and hover survive what happens meanwhile. A button with `on` (true or
// false) is a switch, which shows what the cloud says and not what was clicked.

export const id = (text) => ({ text, className: "id" });
export const quiet = (text) => ({ text, className: "quiet" });

function makeRow() {
  const row = element("li");
  row.append(
    element("span", "parts"),
    element("span", "badges"),
    element("time"),
    element("span", "buttons"),
  );
  return row;
}

function fill(holder, wanted, tag, update) {
  while (holder.children.length > wanted.length) holder.lastChild.remove();
  while (holder.children.length < wanted.length) holder.append(element(tag));
  wanted.forEach((each, i) => update(holder.children[i], each));
}

function updateRow(row, { parts, badges = [], at, end, buttons = [] }) {
  const [what, marks, time, doers] = row.children;
  fill(what, parts, "span", (node, part) => {
    setText(node, part.text ?? part);
    node.className = part.className ?? "";
    node.title = part.className === "id" ? part.text : "";
  });
  fill(marks, badges, "span", (node, [text, tone]) => {
    setText(node, text);
    node.className = `badge ${tone}`;
  });
  time.hidden = at === undefined && end === undefined;
  if (!time.hidden) {
    if (end !== undefined) time.dataset.end = end;
    else time.dataset.at = at;
    time.title = utc(end ?? at);
    setText(time, when(time));
  }
  fill(doers, buttons, "button", (node, button) => {
    node.type = "button";
    const isSwitch = button.on !== undefined;
    const about = parts.map((p) => p.text ?? p).join(" ");
    setText(node, isSwitch ? (button.on ? "on" : "off") : button.label);
    node.dataset.do = button.label;
    node.className = isSwitch ? "toggle" : "";
    if (isSwitch) {
      node.setAttribute("role", "switch");
      node.setAttribute("aria-checked", String(button.on));
    }
    node.setAttribute("aria-label", isSwitch ? about : `${button.label}: ${about}`);
    node.disabled = Boolean(button.why);
    node.title = button.why ?? "";
    node.onclick = button.click;
  });
}

export function show(listId, rows) {
  const list = $(listId);
  const settled = document.body.classList.contains("settled");
  const kept = new Map([...list.children].map((row) => [row.dataset.key, row]));
  let place = list.firstElementChild;
  for (const row of rows) {
    let made = kept.get(row.key);
    kept.delete(row.key);
    if (!made) {
      made = makeRow();
      made.dataset.key = row.key;
      made.className = `${row.kind ?? ""} ${settled ? "new" : ""}`.trim();
    }
    if (made === place) place = place.nextElementSibling;
    else list.insertBefore(made, place);
    updateRow(made, row);
  }
  for (const gone of kept.values()) gone.remove();
  const count = $(`${listId}-count`);
  if (count) setText(count, rows.length ? String(rows.length) : "");
}
