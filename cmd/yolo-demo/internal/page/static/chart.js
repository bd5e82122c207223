"use strict";

// ink returns a colour of the style sheet, which has one for light and one for dark.
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// A Chart draws figures of each frame against the frame's number on a canvas, with the offloaded stretches shaded and the
// fallbacks marked. Its first line is the one that is told of where somebody points.
class Chart {
  // lines are {of, color}: of takes a frame to its figure, null when unknown, and color is a name of the style sheet. limit takes
  // the state to a figure that is drawn all along, null for none. fromZero says that the axis begins at zero, and name takes a frame to
  // what is told of it in place of its figure.
  constructor(canvas, lines, { digits = 0, fromZero = true, unit = "", limit = () => null, name = null } = {}) {
    Object.assign(this, { canvas, lines, digits, fromZero, unit, limit, name });
    this.output = canvas.parentElement.querySelector("output");
    this.context = canvas.getContext("2d");
    new ResizeObserver(() => this.onresize?.()).observe(canvas);
  }

  // draw draws the frames; stretches are [{from, to}] and hover is the index of
  // a frame that is pointed at, or -1.
  draw(state) {
    const { frames, stretches, fallbacks, last, hover } = state;
    const box = this.begin();
    const lines = this.lines.map((line) => ({ color: ink(line.color), points: this.points(frames, line.of, box.right - box.left) }));
    const limit = this.limit(state);
    const [low, high] = this.range(lines.flatMap((line) => line.points).map(([, v]) => v).concat(limit ?? []));
    const first = frames.length ? frames[0].n : 0;
    const x = (n) => box.left + (n - first) / Math.max(1, last - first) * (box.right - box.left);
    const y = (v) => box.bottom - (v - low) / (high - low) * (box.bottom - box.top);
    Object.assign(this, { box, first, last });

    this.shade(stretches, x);
    this.grid(low, high, first, x, y, lines.some((line) => line.points.length > 0));
    if (limit !== null) this.level(limit, y);
    for (const line of lines.toReversed()) this.line(line, x, y); // the first one on top
    this.marks(fallbacks, x);
    this.point(frames[hover], x, y);
    this.canvas.dataset.points = lines[0].points.length;
    this.canvas.dataset.stretches = stretches.length;
  }

  // begin clears the canvas, and returns where the figures go.
  begin() {
    const c = this.context, ratio = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, width, height);
    return { left: 44, right: width - 8, top: 8, bottom: height - 22 };
  }

  // points returns what is drawn: [number, figure], two a pixel at most.
  points(frames, of, pixels) {
    const step = Math.max(1, Math.ceil(frames.length / Math.max(1, pixels * 2)));
    const out = [];
    for (let i = 0; i < frames.length; i += step) {
      const v = of(frames[i]);
      if (v !== null && Number.isFinite(v)) out.push([frames[i].n + 0.5, v]);
    }
    return out;
  }

  range(figures) {
    if (!figures.length) return [0, 1];
    let low = Infinity, high = -Infinity;
    for (const v of figures) {
      low = Math.min(low, v);
      high = Math.max(high, v);
    }
    if (this.fromZero) low = 0;
    const margin = Math.max((high - low) * 0.1, Math.abs(high) * 0.02, 0.01);
    return [this.fromZero ? 0 : low - margin, high + margin];
  }

  shade(stretches, x) {
    const c = this.context, { top, bottom, right } = this.box;
    c.fillStyle = ink("shade");
    for (const s of stretches) {
      const from = x(s.from), to = Math.min(right, x(s.to + 1));
      c.fillRect(from, top, Math.max(1, to - from), bottom - top);
    }
  }

  grid(low, high, first, x, y, labelled) {
    const c = this.context, { left, right, bottom } = this.box;
    c.font = "11px system-ui, sans-serif";
    c.fillStyle = ink("soft");
    c.strokeStyle = ink("line");
    c.lineWidth = 1;
    c.textBaseline = "middle";
    c.textAlign = "right";
    for (const v of labelled ? rounds(low, high, 5) : []) {
      const at = Math.round(y(v.value)) + 0.5;
      c.beginPath();
      c.moveTo(left, at);
      c.lineTo(right, at);
      c.stroke();
      c.fillText(v.label, left - 6, at);
    }
    this.numbers(first, x);
    if (!labelled) {
      c.textBaseline = "middle";
      c.fillText("unknown", (left + right) / 2, (this.box.top + bottom) / 2);
    }
  }

  // numbers writes the frames' numbers below.
  numbers(first, x) {
    const c = this.context, { left, right, bottom } = this.box;
    c.font = "11px system-ui, sans-serif";
    c.fillStyle = ink("soft");
    c.textBaseline = "top";
    c.textAlign = "center";
    const widest = Math.max(40, c.measureText(String(this.last)).width) + 15;
    for (const v of rounds(first, this.last, (right - left) / widest)) {
      const half = c.measureText(v.label).width / 2;
      c.fillText(v.label, Math.min(x(v.value), right + 8 - half), bottom + 6);
    }
  }

  // level draws a figure all along.
  level(v, y) {
    const c = this.context, { left, right } = this.box;
    c.strokeStyle = ink("bad");
    c.lineWidth = 1.2;
    c.setLineDash([6, 4]);
    c.beginPath();
    c.moveTo(left, y(v));
    c.lineTo(right, y(v));
    c.stroke();
    c.setLineDash([]);
  }

  line({ points, color }, x, y) {
    const c = this.context;
    c.strokeStyle = color;
    c.lineWidth = 1.8;
    c.lineJoin = "round";
    c.beginPath();
    points.forEach(([n, v], i) => (i ? c.lineTo(x(n), y(v)) : c.moveTo(x(n), y(v))));
    c.stroke();
  }

  marks(fallbacks, x) {
    const c = this.context, { top, bottom } = this.box;
    c.fillStyle = ink("bad");
    for (const n of fallbacks) c.fillRect(x(n + 0.5) - 1, bottom - (bottom - top) * 0.16, 2, (bottom - top) * 0.16);
  }

  // point shows the frame that is pointed at.
  point(frame, x, y) {
    const line = this.lines[0], v = frame ? line.of(frame) : null;
    if (v === null || !Number.isFinite(v)) {
      this.output.value = "";
      return;
    }
    this.cursor(x(frame.n + 0.5));
    const c = this.context;
    c.fillStyle = ink(line.color);
    c.beginPath();
    c.arc(x(frame.n + 0.5), y(v), 3.5, 0, 2 * Math.PI);
    c.fill();
    this.output.value = this.told(frame);
  }

  // say tells who does not see the chart of a frame, the one that is pointed at or the newest.
  say(frame, frames) {
    const set = (name, value) => this.canvas.setAttribute(`aria-${name}`, value);
    set("valuemin", frames[0]?.n ?? 0);
    set("valuemax", frames.at(-1)?.n ?? 0);
    set("valuenow", frame?.n ?? 0);
    set("valuetext", frame ? this.output.value || this.told(frame) : "no frame yet");
  }

  // told returns the figure of a frame, in words.
  told(frame) {
    const v = this.lines[0]?.of(frame) ?? null;
    if (v === null || !Number.isFinite(v)) return `frame ${frame.n}: unknown`;
    return `frame ${frame.n}: ${this.name?.(frame) ?? v.toFixed(this.digits) + this.unit}`;
  }

  cursor(at) {
    const c = this.context, { top, bottom } = this.box;
    c.strokeStyle = ink("soft");
    c.lineWidth = 1;
    c.beginPath();
    c.moveTo(at, top);
    c.lineTo(at, bottom);
    c.stroke();
  }

  // numberAt returns the frame's number under a place on the canvas.
  numberAt(offsetX) {
    const { left, right } = this.box ?? { left: 0, right: 1 };
    return Math.floor((this.first ?? 0) + (offsetX - left) / (right - left) * ((this.last ?? 0) - (this.first ?? 0)));
  }
}

// A Strip draws where each frame was computed as a band of two colours, with a tick where a decision begins that is another one than
// that before. It tells the reason of the frame that is pointed at, else of the newest.
class Strip extends Chart {
  constructor(canvas, tell) {
    super(canvas, [], {});
    this.tell = tell;
  }

  draw({ frames, decisions, last, hover }) {
    const box = this.begin();
    const first = frames.length ? frames[0].n : 0;
    const x = (n) => box.left + (n - first) / Math.max(1, last - first) * (box.right - box.left);
    Object.assign(this, { box, first, last });
    const c = this.context, middle = (box.top + box.bottom) / 2;
    let ticked = -Infinity, ticks = 0; // where there are many, not all: the colours are to be seen
    for (const d of decisions) {
      const from = x(d.from), to = Math.max(x(d.to + 1), from + 1);
      c.fillStyle = ink(d.edge ? "edge" : "ue");
      c.fillRect(from, d.edge ? box.top : middle, to - from, middle - box.top);
      c.fillStyle = ink(d.looks ? "soft" : "text");
      if (d.from <= first || from - ticked < 4) continue;
      ticked = from;
      ticks++;
      c.fillRect(from - 0.5, box.top - (d.looks ? 0 : 6), 1, box.bottom - box.top + (d.looks ? 0 : 6));
    }
    this.canvas.dataset.ticks = ticks;
    c.font = "11px system-ui, sans-serif";
    c.fillStyle = ink("soft");
    c.textAlign = "right";
    c.textBaseline = "middle";
    c.fillText("edge", box.left - 6, (box.top + middle) / 2);
    c.fillText("UE", box.left - 6, (middle + box.bottom) / 2);
    this.numbers(first, x);
    const frame = frames[hover] ?? frames[frames.length - 1];
    if (frames[hover]) this.cursor(x(frame.n + 0.5));
    this.output.value = frame ? this.tell(frame) : "";
    this.canvas.dataset.decisions = decisions.length;
  }

  begin() { return { ...super.begin(), top: 14 }; }
}

// rounds returns at most that many round numbers from low to high.
function rounds(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  if (!(rough > 0) || !Number.isFinite(rough)) return [];
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((m) => rough <= m * unit * 1.000001) * unit;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const out = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high * 1.000001; i++) {
    out.push({ value: i * step, label: (i * step).toFixed(digits) });
  }
  return out;
}
