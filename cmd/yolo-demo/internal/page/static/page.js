"use strict";

const byId = (id) => document.getElementById(id);
const keep = 18000; // frames, as the page's history

const state = { info: {}, frames: [], stretches: [], fallbacks: [], decisions: [], events: [], moves: 0, late: 0, hover: -1, done: false, reasons: new Map(), means: [] };

const charts = [
  new Strip(byId("chart-decisions"), (f) => `frame ${f.n}: ${placeOf(f)}${f.level ? `, fidelity ${f.level}` : ""}, because ${reasonOf(f)}`),
  new Lanes(byId("chart-control")),
  new Chart(byId("chart-fps"), [{ of: (f) => f.fps, color: "fps" }], { digits: 1 }),
  new Chart(byId("chart-latency"), [
    { of: (f) => f.call, color: "call" },
    { of: (f) => f.here ?? null, color: "ue" },
    { of: (f) => f.there ?? null, color: "edge" },
  ], { digits: 1, unit: " ms", limit: ({ info }) => info.deadline || null }),
  new Chart(byId("chart-cpu"), [{ of: cpuPercent, color: "cpu" }], { unit: " %" }),
  new Chart(byId("chart-temp"), [{ of: (f) => f.temp, color: "temp" }], { digits: 1, fromZero: false, unit: " °C" }),
  new Chart(byId("chart-bytes"), [{ of: (f) => f.bytes / 1000, color: "bytes" }], { digits: 1, unit: " KB" }),
  new Chart(byId("chart-level"), [{ of: (f) => f.level ?? 0, color: "call" }], { name: fidelityOf }),
];

function placeOf(f) { return f.edge ? "edge host" : "UE"; }
function reasonOf(f) { return f.fallback ? `it fell back: ${f.fallback}` : f.why || "nothing tells"; }
function fidelityOf(f) { return state.info.fidelities?.[f.level ?? 0] ?? "the only fidelity"; }

// cpuPercent is of the share that the UE may use, of one core where it may use
// all.
function cpuPercent(f) {
  return f.cpu === null ? null : f.cpu / (state.info.ueCPU || 1) * 100;
}

let asked = false;
function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    const { frames, info } = state;
    const end = frames.length ? frames[frames.length - 1].n + 1 : 1;
    const last = Math.max(end, info.frames || 0);
    for (const chart of charts) {
      chart.draw({ ...state, last });
      chart.say(frames[state.hover] ?? frames.at(-1), frames);
    }
  });
}

// add takes one frame into the state.
function add(f) {
  const { frames, stretches } = state;
  const before = frames[frames.length - 1];
  if (before && before.edge !== f.edge) state.moves++;
  if (f.late) state.late++;
  if (f.edge) {
    if (before?.edge) stretches[stretches.length - 1].to = f.n;
    else stretches.push({ from: f.n, to: f.n });
  }
  if (f.fallback) {
    state.fallbacks.push(f.n);
    reason(f);
  }
  decide(f);
  sum(f);
  frames.push(f);
}

// kindOf returns a reason without its numbers, but with those in names.
const kindOf = (why) => why.replace(/(?<![\w.:-])[\d.]+(ns|µs|ms|[smh]\b)?/g, "#");

// decide takes a frame into the decisions: frames in a row with one place, fidelity and reason, whatever its numbers, are one.
function decide(f) {
  const { decisions } = state;
  const kind = kindOf(reasonOf(f));
  const last = decisions[decisions.length - 1];
  if (last && last.edge === f.edge && last.level === (f.level ?? 0) && last.kind === kind) {
    last.to = f.n;
    return;
  }
  const d = { from: f.n, to: f.n, edge: f.edge, level: f.level ?? 0, kind, why: reasonOf(f), looks: kind.includes("calls looks how") };
  decisions.push(d);
  if (!d.looks) tellDecision(d);
}

// tellDecision lists a decision, the newest on top. Those that only look are on the strip alone.
function tellDecision(d) {
  const item = document.createElement("li");
  const number = document.createElement("b");
  number.textContent = `frame ${d.from}`;
  const place = document.createElement("span");
  place.className = d.edge ? "edge" : "ue";
  place.textContent = d.edge ? "edge host" : "UE";
  item.append(number, place, `${state.info.fidelities?.length > 1 ? `${fidelityOf(d)}, ` : ""}because ${d.why}`);
  const list = byId("decisionlist");
  list.prepend(item);
  while (list.children.length > 60) list.lastChild.remove();
}

// trim forgets the oldest frames of an endless run.
function trim() {
  const { frames } = state;
  if (frames.length <= keep * 1.25) return;
  frames.splice(0, frames.length - keep);
  const first = frames[0].n;
  state.stretches = state.stretches.filter((s) => s.to >= first).map((s) => ({ from: Math.max(s.from, first), to: s.to }));
  state.fallbacks = state.fallbacks.filter((n) => n >= first);
  state.decisions = state.decisions.filter((d) => d.to >= first);
  state.events = state.events.filter((e) => e.n >= first);
}

// mostReasons bounds the reasons that are told apart; those after them are of one line.
const mostReasons = 20;

// reason counts a fallback with those that have the same reason, whatever numbers are in it.
function reason(f) {
  byId("reasons").hidden = false;
  byId("fallbacktile").className = "bad";
  const { reasons } = state;
  let kind = kindOf(f.fallback);
  if (!reasons.has(kind) && reasons.size >= mostReasons) kind = "";
  let r = reasons.get(kind);
  if (!r) {
    const item = document.createElement("li"), times = document.createElement("b"), when = document.createElement("small");
    r = { times, when, count: 0, first: f.n };
    item.append(times, kind ? f.fallback : "for other reasons", when);
    byId("reasonlist").append(item);
    reasons.set(kind, r);
  }
  r.count++;
  r.times.textContent = r.count === 1 ? "once" : `${r.count} times`;
  r.when.textContent = r.count === 1 ? `frame ${f.n}` : `frames ${r.first} to ${f.n}`;
}

// A mean is of the values that are known.
const meanOf = ({ sum, count }, digits) => figure(count ? sum / count : null, digits);
const summed = { fps: (f) => f.fps, ms: (f) => f.ms, cpu: cpuPercent, temp: (f) => f.temp, bytes: (f) => f.bytes / 1000 };

// sum takes a frame into the table of means: a row for the frames in a row that were computed in one place.
function sum(f) {
  const { means } = state;
  let m = means.at(-1);
  if (!m || m.place !== whereOf(f)) {
    m = { from: f.n, place: whereOf(f), fallbacks: 0 };
    for (const name in summed) m[name] = { sum: 0, count: 0 };
    means.push(m);
    if (means.length > 400) means.shift();
  }
  m.to = f.n;
  if (f.fallback) m.fallbacks++;
  for (const [name, of] of Object.entries(summed)) {
    const v = of(f);
    if (v === null || !Number.isFinite(v)) continue;
    m[name].sum += v;
    m[name].count++;
  }
}

const whereOf = (f) => (f.edge ? f.host || "edge host" : "UE");

// showMeans writes the table, while somebody has it open.
function showMeans() {
  if (!byId("intable").open) return;
  byId("means").replaceChildren(...state.means.map((m) => {
    const tr = document.createElement("tr"), head = document.createElement("th");
    head.scope = "row";
    head.textContent = m.from === m.to ? m.from : `${m.from} to ${m.to}`;
    tr.append(head);
    for (const text of [m.place, meanOf(m.fps, 1), meanOf(m.ms, 1), meanOf(m.cpu, 0), meanOf(m.temp, 1), meanOf(m.bytes, 1), m.fallbacks]) {
      tr.insertCell().textContent = text;
    }
    return tr;
  }));
}
byId("intable").addEventListener("toggle", showMeans);

const write = (id, text) => { byId(id).textContent = text; };
const figure = (v, digits) => (v === null || !Number.isFinite(v) ? "–" : v.toFixed(digits));

// showNow writes the newest frame's figures.
function showNow() {
  const { frames, info } = state;
  const f = frames[frames.length - 1];
  if (!f) return;
  byId("place").dataset.place = f.edge ? "edge" : "ue";
  write("where", f.edge ? "Edge host" : "UE");
  write("host", f.edge ? f.host || "\u00a0" : f.fallback ? `natively, fallen back: ${f.fallback}` : "natively");
  write("fps", figure(f.fps, 1));
  write("latency", figure(f.ms, 1));
  write("outside", figure(f.outside, 1));
  write("cpu", figure(cpuPercent(f), 0));
  write("temp", f.temp === null ? "unknown" : figure(f.temp, 1));
  write("tempunit", f.temp === null ? "" : "°C");
  write("bytes", figure(f.bytes / 1000, 1));
  write("found", f.found);
  write("why", reasonOf(f));
  write("late", state.late);
  write("moves", state.moves);
  write("fallbacks", state.fallbacks.length);
  write("frame", info.frames ? `frame ${f.n + 1} of ${info.frames}` : `frame ${f.n + 1}`);
  byId("progress").hidden = !info.frames;
  byId("progress").max = info.frames || 1;
  byId("progress").value = info.frames ? f.n + 1 : 0;
}

function showInfo(info) {
  const chips = [
    ["model", info.model], ["video", info.video],
    ["policy", info.policy],
    ["moves every", (info.policy || "toggle") === "toggle" && info.toggle && `${info.toggle} frames`],
    ["required", info.requirements !== "none" && info.requirements],
    ["UE limited to", info.ueCPU && `${info.ueCPU} of a core`],
    ["frames come", info.fpsOffered ? `at ${info.fpsOffered} FPS` : "as fast as they are computed"],
  ];
  byId("info").replaceChildren(...chips.filter(([, value]) => value).map(([name, value]) => {
    const chip = document.createElement("li");
    const bold = document.createElement("b");
    bold.textContent = value;
    chip.append(`${name} `, bold);
    return chip;
  }));
  byId("fidelity").hidden = !(info.fidelities?.length > 1);
  byId("deadline").hidden = !info.deadline;
  write("deadline", `; dashed: ${info.deadline} ms are required`);
  write("cpucolumn", info.ueCPU ? `UE CPU, % of ${info.ueCPU} core` : "UE CPU, %");
  write("cputitle", info.ueCPU ? `UE CPU, % of its ${info.ueCPU} core` : "UE CPU, % of a core");
  const source = info.tempSource || "unknown";
  write("temptitle", `UE temperature (${source})`);
  write("tempchart", source === "unknown" ? "UE temperature: unknown"
    : source === "modelled" ? "UE temperature, °C (modelled, not measured)" : `UE temperature, °C (${source})`);
}

// showFacts writes what is known of device, link and function.
function showFacts(facts) {
  byId("facts").replaceChildren(...facts.map(({ name, text }) => {
    const div = document.createElement("div"), dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name;
    dd.textContent = text;
    div.append(dt, dd);
    return div;
  }));
  byId("known").hidden = false;
}

function showSummary(batch) {
  const rows = batch.rows.map((row) => {
    const ratio = row.Alone || row.Local === null || row.Edge === null || !row.Local ? null : row.Edge / row.Local;
    const tr = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = row.Name.trim();
    if (row.Name.startsWith(" ")) name.className = "part";
    tr.append(name);
    for (const [value, digits, kind] of [[row.Local, row.Digits], [row.Edge, row.Digits], [ratio, 3, "ratio"]]) {
      const cell = document.createElement("td");
      cell.textContent = figure(value, digits);
      if (kind) cell.className = kind;
      tr.append(cell);
    }
    return tr;
  });
  byId("rows").replaceChildren(...rows);
  byId("notes").replaceChildren(...batch.notes.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
  byId("summary").hidden = false;
}

function setState(name, text) {
  byId("state").dataset.state = name;
  write("state", text);
}

function restart() {
  Object.assign(state, { frames: [], stretches: [], fallbacks: [], decisions: [], events: [], moves: 0, late: 0, hover: -1, done: false, reasons: new Map(), means: [] });
  byId("eventlist").replaceChildren();
  byId("reasonlist").replaceChildren();
  byId("decisionlist").replaceChildren();
  byId("reasons").hidden = byId("summary").hidden = true;
  byId("fallbacktile").className = "";
}

const events = new EventSource("events");
events.onmessage = (message) => {
  const batch = JSON.parse(message.data);
  if (batch.info) {
    restart();
    state.info = batch.info;
    showInfo(batch.info);
    setState("live", "live");
  }
  for (const f of batch.frames ?? []) add(f);
  for (const e of batch.events ?? []) {
    state.events.push(e);
    listEvent(e);
  }
  if (batch.facts) showFacts(batch.facts);
  if (batch.board) showBoard(batch.board);
  trim();
  showNow();
  showMeans();
  if (batch.summary) {
    state.done = true;
    events.close(); // there is no more to come
    showSummary(batch);
    setState("done", "finished");
    for (const row of rows.values()) row.actions.hidden = true;
    byId("actions").hidden = true;
    watch();
  }
  redraw();
};
events.onerror = () => {
  if (!state.done) setState("gone", "connection lost");
};

// The picture is asked for only while the page can be seen, since making one
// costs the UE. At the end of the run the last one stays.
const picture = byId("picture");
let retry = 0;
function watch() {
  clearTimeout(retry);
  if (state.done) picture.src = "still";
  else if (document.hidden) picture.removeAttribute("src");
  else picture.src = `picture?${Date.now()}`;
}
picture.onerror = () => {
  if (!state.done) retry = setTimeout(watch, 2000);
};
setInterval(() => { byId("nopicture").hidden = picture.naturalWidth > 0; }, 500);
document.addEventListener("visibilitychange", () => { if (!state.done) watch(); });
// Not before: a picture that never ends would keep the page loading for ever.
window.addEventListener("load", watch);

matchMedia("(prefers-color-scheme: light)").addEventListener("change", redraw);

// go moves the frame that is pointed at as a key says, and tells whether it says so.
function go(key) {
  const last = state.frames.length - 1, at = state.hover < 0 || state.hover > last ? last : state.hover;
  const to = {
    ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, PageDown: at - 50, PageUp: at + 50, Home: 0, End: last, Escape: -1,
  }[key];
  if (to === undefined || last < 0) return false;
  state.hover = key === "Escape" ? -1 : Math.min(last, Math.max(0, to));
  return true;
}

for (const chart of charts) {
  chart.onresize = redraw;
  chart.canvas.addEventListener("pointermove", (e) => {
    const first = state.frames.length ? state.frames[0].n : 0;
    state.hover = chart.numberAt(e.offsetX) - first;
    redraw();
  });
  chart.canvas.tabIndex = 0;
  chart.canvas.setAttribute("role", "slider");
  chart.canvas.addEventListener("keydown", (e) => {
    if (!go(e.key)) return;
    e.preventDefault();
    redraw();
  });
  chart.canvas.addEventListener("pointerleave", () => {
    state.hover = -1;
    redraw();
  });
}
