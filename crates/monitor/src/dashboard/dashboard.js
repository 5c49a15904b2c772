// Keeps the page up to date: the state once a second, the tasks every two, both only while the page is seen.
"use strict";

const element = (id) => document.getElementById(id);
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// The token is in a cookie now; it need not stay in the address, from where it would be copied.
history.replaceState(null, "", location.pathname);

function seconds(value) {
  if (value === null || value === undefined) return "-";
  if (value < 0.001) return `${(value * 1e6).toFixed(0)} µs`;
  if (value < 1) return `${(value * 1e3).toFixed(1)} ms`;
  if (value < 100) return `${value.toFixed(1)} s`;
  return value < 7200 ? `${(value / 60).toFixed(0)} min` : `${(value / 3600).toFixed(1)} h`;
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${value.toFixed(unit ? 1 : 0)} ${units[unit]}`;
}

// Everything that a program named goes in as text, never as HTML.
function make(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

const cards = new Map();

function chart(parent, title, colour, format, range) {
  const box = make("div", undefined, "chart");
  const caption = make("p", title);
  box.append(caption);
  parent.append(box);
  const axis = { stroke: style("--soft"), grid: { stroke: style("--line"), width: 1 }, ticks: { show: false } };
  const plot = new uPlot({
    width: Math.max(200, box.clientWidth), height: 130, legend: { show: false }, cursor: { y: false },
    scales: { x: { time: true }, y: { range } },
    axes: [{ ...axis, size: 44 }, { ...axis, size: 70, values: (_, ticks) => ticks.map(format) }],
    series: [{}, { stroke: style(colour), width: 1.5, fill: style(colour) + "22", points: { show: false } }],
  }, [[], []], box);
  new ResizeObserver(() => plot.setSize({ width: Math.max(200, box.clientWidth), height: 130 })).observe(box);
  return plot;
}

function card(name) {
  if (cards.has(name)) return cards.get(name);
  const box = make("div", undefined, "loop");
  const head = make("h2");
  const status = make("span", "", "status");
  head.append(make("span", name), status);
  const figures = make("ul", undefined, "figures");
  const charts = make("div", undefined, "charts");
  box.append(head, figures, charts);
  element("loops").append(box);
  const made = {
    box, status, figures,
    used: chart(charts, "utilisation", "--use", (value) => `${Math.round(value * 100)} %`, [0, 1]),
    late: chart(charts, "delay, 99th percentile: how long what arrives waits for the loop", "--late", seconds,
      (_, low, high) => [0, Math.max(high || 0, 0.001)]),
  };
  cards.set(name, made);
  return made;
}

function showLoop(state) {
  const shown = card(state.name);
  const blocked = state.blocked !== null;
  shown.box.classList.toggle("blocked", blocked);
  shown.status.textContent = blocked ? `blocked for ${seconds(state.blocked)}` : state.resting ? "idle" : "running";
  const now = state.now;
  const rows = [
    ["utilisation", `${(now.utilisation * 100).toFixed(0)} %`], ["delay p99", seconds(now.delay_p99)],
    ["timers late p99", seconds(now.lag_p99)], ["turns/s", now.turns.toFixed(0)],
    ["callbacks/s", now.callbacks.toFixed(0)], ["ready", now.ready], ["timers", now.timers],
    ["descriptors", now.descriptors],
  ];
  for (const kind of state.connections.filter((kind) => kind.opened || kind.received || kind.sent)) {
    rows.push([kind.kind, `${kind.open} open, ${bytes(kind.received)} in, ${bytes(kind.sent)} out`]);
  }
  shown.figures.replaceChildren(...rows.map(([name, value]) => {
    const row = make("li", `${name} `);
    row.append(make("b", value));
    return row;
  }));
  const end = Date.now() / 1000;
  const times = state.samples.map((_, place) => end - (state.samples.length - 1 - place));
  shown.used.setData([times, state.samples.map((sample) => sample.utilisation)]);
  shown.late.setData([times, state.samples.map((sample) => sample.delay_p99)]);
}

let newest = 0;

function showNotes(notes) {
  element("quiet").hidden = notes.length > 0;
  for (const note of notes) {
    if (note.number <= newest) continue;
    newest = note.number;
    const box = make("details", undefined, "note");
    const summary = make("summary");
    summary.append(make("time", `${new Date(note.content.time * 1000).toLocaleTimeString()} `),
      make("span", `${note.kind} `, "kind"), make("span", note.content.text.split("\n")[0]));
    box.append(summary, make("pre", note.content.details || note.content.text));
    element("notes").prepend(box);
    while (element("notes").children.length > 200) element("notes").lastChild.remove();
  }
}

let tasks = [];
let key = "age";
let ascending = false;
let tree = false;

const waits = (task) => task.is_held && task.holders.length
  ? `${task.waits_for} held by ${task.holders.slice(0, 3).join(", ")}` : task.waits_for;
const place = (task) => task.file ? `${task.file.split("/").pop()}:${task.line} ${task.function}` : "-";

function row(task) {
  const made = make("tr");
  const at = make("td", place(task));
  at.title = task.file || "";
  const name = make("td", task.name);
  name.title = task.created ? `created at ${task.created}` : "";
  made.append(name, make("td", seconds(task.age)), make("td", task.state), make("td", waits(task)), at);
  return made;
}

function branch(task, waiting, seen) {
  const item = make("li");
  item.append(make("b", task.name), make("span", ` ${waits(task)} `), make("span", place(task), "soft"));
  seen.add(task.id);
  const others = (waiting.get(task.id) || []).filter((other) => !seen.has(other.id));
  if (others.length) {
    const list = make("ul");
    list.append(...others.map((other) => branch(other, waiting, seen)));
    item.append(list);
  }
  return item;
}

function showTasks() {
  const wanted = element("search").value.toLowerCase();
  const text = (task) => `${task.name} ${waits(task)} ${task.coroutine} ${place(task)}`.toLowerCase();
  const found = tasks.filter((task) => !wanted || text(task).includes(wanted));
  element("tasks").hidden = tree;
  element("tree").hidden = !tree;
  if (tree) {
    const waiting = new Map();
    for (const task of found) for (const other of task.held_by) waiting.set(other, [...(waiting.get(other) || []), task]);
    const known = new Set(found.map((task) => task.id));
    const seen = new Set();
    const list = make("ul");
    const roots = found.filter((task) => !task.held_by.some((other) => known.has(other)));
    for (const task of [...roots, ...found]) if (!seen.has(task.id)) list.append(branch(task, waiting, seen));
    element("tree").replaceChildren(list);
    return;
  }
  const value = (task) => key === "place" ? place(task) : key === "waits_for" ? waits(task) : task[key];
  found.sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
    return ascending ? order : -order;
  });
  for (const head of document.querySelectorAll("th")) {
    const button = head.querySelector("button");
    if (button.dataset.key === key) head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  }
  element("tasks").tBodies[0].replaceChildren(...found.slice(0, 500).map(row));
}

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(3000) });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

async function readState() {
  try {
    const state = await ask("/api/state");
    element("program").textContent = `${state.program} (${state.process}), ${state.host}, up ${seconds(state.uptime)}`;
    document.title = `${state.loops.some((one) => one.blocked !== null) ? "● " : ""}Ourio: ${state.program}`;
    const names = new Set(state.loops.map((one) => one.name));
    for (const [name, shown] of cards) if (!names.has(name)) { shown.box.remove(); cards.delete(name); }
    state.loops.forEach(showLoop);
    showNotes(state.notes);
    element("link").textContent = "";
    element("link").classList.remove("lost");
  } catch (error) {
    element("link").textContent = `no answer: ${error.message}`;
    element("link").classList.add("lost");
  }
}

async function readTasks() {
  const trouble = element("no-answer");
  try {
    const answer = await ask("/api/tasks");
    tasks = answer.tasks;
    const left = answer.total - tasks.length;
    element("count").textContent = `(${answer.total}${left > 0 ? `, the oldest ${tasks.length} are shown` : ""})`;
    trouble.hidden = true;
  } catch (error) {
    // The last answer stays, and is called old.
    trouble.textContent = `as of the last answer: ${error.message}`;
    trouble.hidden = false;
  }
  showTasks();
}

function every(period, read) {
  const turn = async () => {
    if (!document.hidden) await read();
    setTimeout(turn, period);
  };
  turn();
}

element("search").addEventListener("input", showTasks);
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    ascending = button.dataset.key === key ? !ascending : button.dataset.key !== "age";
    key = button.dataset.key;
    showTasks();
  });
}
for (const [id, chosen] of [["as-table", false], ["as-tree", true]]) {
  element(id).addEventListener("click", () => {
    tree = chosen;
    element("as-table").setAttribute("aria-pressed", String(!tree));
    element("as-tree").setAttribute("aria-pressed", String(tree));
    showTasks();
  });
}
every(1000, readState);
every(2000, readTasks);
