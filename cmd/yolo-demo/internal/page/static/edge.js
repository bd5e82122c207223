"use strict";

// Lanes draws what happened to the edge on the frame axis: a lane for each kind, a mark for each event. Those of another application are hollow.
class Lanes extends Chart {
  static lanes = [
    { name: "hosts", kinds: ["host"], color: "text" },
    { name: "probes", kinds: ["probe"], color: "edge" },
    { name: "refused", kinds: ["refusal"], color: "bad" },
    { name: "moves", kinds: ["move", "placed"], color: "good" },
  ];

  constructor(canvas) { super(canvas, [], {}); }

  told(frame) { return `frame ${frame.n}: nothing happened`; }

  begin() { return { ...super.begin(), left: 66 }; }

  draw({ frames, events, stretches, last, hover }) {
    const box = this.begin();
    const first = frames.length ? frames[0].n : 0;
    const x = (n) => box.left + (Math.min(Math.max(n, first), last) - first) / Math.max(1, last - first) * (box.right - box.left);
    Object.assign(this, { box, first, last });
    this.shade(stretches, x);
    const c = this.context, height = (box.bottom - box.top) / Lanes.lanes.length;
    Lanes.lanes.forEach((lane, i) => {
      const y = box.top + (i + 0.5) * height;
      c.strokeStyle = ink("line");
      c.lineWidth = 1;
      c.beginPath();
      c.moveTo(box.left, Math.round(y) + 0.5);
      c.lineTo(box.right, Math.round(y) + 0.5);
      c.stroke();
      c.font = "11px system-ui, sans-serif";
      c.fillStyle = ink("soft");
      c.textAlign = "right";
      c.textBaseline = "middle";
      c.fillText(lane.name, box.left - 6, y);
      for (const e of events) if (lane.kinds.includes(e.kind)) this.mark(x(e.n + 0.5), y, ink(lane.color), e);
    });
    this.numbers(first, x);
    const frame = frames[hover];
    if (frame) this.cursor(x(frame.n + 0.5));
    const near = frame && this.near(events, frame.n);
    this.output.value = near ? tellEvent(near) : "";
    this.canvas.dataset.events = events.length;
  }

  mark(x, y, color, e) {
    const c = this.context, r = e.kind === "placed" ? 3 : 4.5;
    c.beginPath();
    if (e.kind === "refusal") { // a cross bar, so that colour is not all that tells
      c.rect(x - 4, y - 4, 8, 8);
    } else {
      c.arc(x, y, r, 0, 2 * Math.PI);
    }
    c.strokeStyle = color;
    c.lineWidth = 1.6;
    c.fillStyle = e.others ? ink("card") : color;
    c.fill();
    c.stroke();
  }

  // near returns the event that is closest to a frame, if it is within a few pixels.
  near(events, n) {
    const within = Math.max(1, (this.last - this.first) / Math.max(1, this.box.right - this.box.left) * 6);
    let best = null;
    for (const e of events) {
      const far = Math.abs(e.n - n);
      if (far <= within && (!best || far <= Math.abs(best.n - n))) best = e;
    }
    return best;
  }
}

const kindNames = { probe: "probe", refusal: "refused", move: "move", placed: "lease", host: "host" };

// whatEvent tells an event without its frame.
function whatEvent(e) {
  const where = e.kind === "move" && e.from ? `${e.from} \u2192 ${e.host}: ` : e.host ? `${e.host}: ` : "";
  return `${where}${e.text}${e.others ? " (another application)" : ""}`;
}

function tellEvent(e) { return `frame ${e.n}, ${kindNames[e.kind] ?? e.kind}: ${whatEvent(e)}`; }

// listEvent lists an event, the newest on top.
function listEvent(e) {
  const item = document.createElement("li"), number = document.createElement("b"), kind = document.createElement("span");
  number.textContent = `frame ${e.n}`;
  kind.className = e.kind;
  kind.textContent = kindNames[e.kind] ?? e.kind;
  item.append(number, kind, whatEvent(e));
  const list = byId("eventlist");
  list.prepend(item);
  while (list.children.length > 60) list.lastChild.remove();
}

const rows = new Map(); // by host
const cells = ["is", "sessions", "load", "capacity", "linf", "rtt"];
const headings = { is: "state", sessions: "sessions", load: "load", capacity: "cores it seems to have", linf: "a call takes there", rtt: "round trip" };

// rowOf returns a host's row. It stays the same, so that nobody's click is lost.
function rowOf(name) {
  if (rows.has(name)) return rows.get(name);
  const tr = document.createElement("tr");
  tr.dataset.host = name;
  const head = document.createElement("th");
  head.scope = "row";
  const bold = document.createElement("b"), role = document.createElement("em");
  bold.textContent = name;
  head.append(bold, role);
  const row = { tr, role, actions: document.createElement("td"), offered: "" };
  tr.append(head);
  for (const cell of cells) {
    row[cell] = document.createElement("td");
    row[cell].className = cell;
    row[cell].dataset.heading = headings[cell];
    tr.append(row[cell]);
  }
  const text = document.createElement("span"), bar = document.createElement("progress");
  bar.setAttribute("aria-label", `load of ${name}`);
  row.load.append(bar, text);
  Object.assign(row, { bar, loadText: text });
  row.actions.className = "actions";
  tr.append(row.actions);
  byId("hosts").append(tr);
  rows.set(name, row);
  return row;
}

// showBoard writes what is known of the edge.
function showBoard(board) {
  byId("edge").hidden = false;
  write("manager", board.manager ? `offload manager at ${board.manager}; ${board.source}` : "no offload manager is connected: hosts stay as they are");
  showLease(board);
  const names = board.hosts.map((h) => h.name);
  for (const [name, row] of rows) {
    if (names.includes(name)) continue;
    row.tr.remove();
    rows.delete(name);
  }
  for (const h of board.hosts) showHost(h);
  byId("actions").hidden = !state.info.token || state.done;
}

function showLease({ lease, others, waiting }) {
  const line = byId("lease"), strong = (text) => {
    const b = document.createElement("b");
    b.textContent = text;
    return b;
  };
  const parts = lease.host ? ["Your frames may use ", strong(lease.host), lease.standby ? ", and " : ", with nobody standing by", lease.standby ? strong(lease.standby) : "", lease.standby ? " stands by" : ""]
    : ["Your frames have ", strong("no edge host"), " and run on the UE"];
  parts.push(lease.id ? `. Lease ${lease.id}, ${lease.calls} calls.` : ".");
  if (others) parts.push(` Sessions of others: ${others}${waiting ? `, ${waiting} of them refused` : ""}.`);
  if (lease.why) {
    const why = document.createElement("small");
    why.textContent = lease.why;
    parts.push(why);
  }
  line.replaceChildren(...parts);
}

function showHost(h) {
  const row = rowOf(h.name), share = h.capacity ? h.load / h.capacity : 0;
  row.tr.dataset.state = h.state;
  row.tr.dataset.role = h.role;
  row.role.textContent = h.role;
  row.is.textContent = h.note ? `${h.state}, ${h.note}` : h.state;
  row.sessions.textContent = figure(h.sessions, 0);
  row.bar.value = h.load === null ? 0 : Math.min(1, share);
  row.bar.hidden = h.load === null;
  row.loadText.textContent = h.load === null ? "\u2013" : `${figure(h.load, 2)} of ${figure(h.cores, 0)} cores`;
  row.capacity.textContent = h.capacity === null ? "\u2013" : `${figure(h.capacity, 2)} cores`;
  row.linf.textContent = h.linf === null ? "\u2013" : `${figure(h.linf, 1)} ms`;
  row.rtt.textContent = h.rtt === null ? "\u2013" : `${figure(h.rtt, 1)} ms`;
  offer(row, h);
}

const verbs = {
  kill: ["Kill", "kill -9 of the host's process; it is started again after a while"],
  drain: ["Drain", "the offload manager lets go of the host's sessions"],
  serve: ["Use again", "the offload manager uses the host again"],
  fill: ["Fill", "sessions of another application take what the host has left"],
  empty: ["Empty", "the sessions of the other application leave"],
};

// offer puts the buttons of a host into its row, where they have changed.
function offer(row, h) {
  const actions = h.actions ?? [];
  row.actions.hidden = !state.info.token || state.done;
  if (row.offered === actions.join()) return;
  row.offered = actions.join();
  row.actions.replaceChildren(...actions.map((action) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.action = action;
    [button.textContent, button.title] = verbs[action] ?? [action, ""];
    button.setAttribute("aria-label", `${button.textContent} ${h.name}`);
    button.addEventListener("click", () => act(button, action, h.name));
    return button;
  }));
}

// act asks for something to be done to a host.
async function act(button, action, host) {
  button.disabled = true;
  try {
    const answer = await fetch("act", {
      method: "POST", headers: { "Content-Type": "application/json", "Bungee-Token": state.info.token ?? "" }, body: JSON.stringify({ action, host }),
    });
    write("acted", answer.ok ? `${button.textContent} ${host}: done` : `${button.textContent} ${host}: ${(await answer.text()).trim()}`);
  } catch (e) {
    write("acted", `${button.textContent} ${host}: ${e.message}`);
  } finally {
    button.disabled = false;
  }
}
