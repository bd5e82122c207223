"use strict";

// A Chart draws a figure of each frame against the frame's number on a canvas,
// with the offloaded stretches shaded and the fallbacks marked.
class Chart {
  // of takes a frame to its figure, null when unknown. fromZero says that the
  // axis begins at zero.
  constructor(canvas, { of, color, digits = 0, fromZero = true, unit = "" }) {
    Object.assign(this, { canvas, of, color, digits, fromZero, unit });
    this.output = canvas.parentElement.querySelector("output");
    this.context = canvas.getContext("2d");
    new ResizeObserver(() => this.onresize?.()).observe(canvas);
  }

  // draw draws the frames; stretches are [{from, to}] and hover is the index of
  // a frame that is pointed at, or -1.
  draw({ frames, stretches, fallbacks, last, hover }) {
    const c = this.context;
    const ratio = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, width, height);
    const box = { left: 44, right: width - 8, top: 8, bottom: height - 22 };
    const points = this.points(frames, box.right - box.left);
    const [low, high] = this.range(points);
    const first = frames.length ? frames[0].n : 0;
    const x = (n) => box.left + (n - first) / Math.max(1, last - first) * (box.right - box.left);
    const y = (v) => box.bottom - (v - low) / (high - low) * (box.bottom - box.top);
    Object.assign(this, { box, first, last });

    this.shade(stretches, x);
    this.grid(low, high, first, x, y, points.length > 0);
    this.line(points, x, y);
    this.marks(fallbacks, x);
    this.point(frames[hover], x, y);
    this.canvas.dataset.points = points.length;
    this.canvas.dataset.stretches = stretches.length;
  }

  // points returns what is drawn: [number, figure, place], two a pixel at most.
  points(frames, pixels) {
    const step = Math.max(1, Math.ceil(frames.length / Math.max(1, pixels * 2)));
    const out = [];
    for (let i = 0; i < frames.length; i += step) {
      const v = this.of(frames[i]);
      if (v !== null && Number.isFinite(v)) out.push([frames[i].n + 0.5, v]);
    }
    return out;
  }

  range(points) {
    if (!points.length) return [0, 1];
    let low = Infinity, high = -Infinity;
    for (const [, v] of points) {
      low = Math.min(low, v);
      high = Math.max(high, v);
    }
    if (this.fromZero) low = 0;
    const margin = Math.max((high - low) * 0.1, Math.abs(high) * 0.02, 0.01);
    return [this.fromZero ? 0 : low - margin, high + margin];
  }

  shade(stretches, x) {
    const c = this.context, { top, bottom, right } = this.box;
    c.fillStyle = "rgba(96, 165, 250, .17)";
    for (const s of stretches) {
      const from = x(s.from), to = Math.min(right, x(s.to + 1));
      c.fillRect(from, top, Math.max(1, to - from), bottom - top);
    }
  }

  grid(low, high, first, x, y, labelled) {
    const c = this.context, { left, right, bottom } = this.box;
    c.font = "11px system-ui, sans-serif";
    c.fillStyle = "#93a3bd";
    c.strokeStyle = "#22304a";
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
    c.textBaseline = "top";
    c.textAlign = "center";
    for (const v of rounds(first, this.last, (right - left) / 55)) c.fillText(v.label, Math.min(x(v.value), right - 10), bottom + 6);
    if (!labelled) {
      c.textBaseline = "middle";
      c.fillText("unknown", (left + right) / 2, (this.box.top + bottom) / 2);
    }
  }

  line(points, x, y) {
    const c = this.context;
    c.strokeStyle = this.color;
    c.lineWidth = 1.8;
    c.lineJoin = "round";
    c.beginPath();
    points.forEach(([n, v], i) => (i ? c.lineTo(x(n), y(v)) : c.moveTo(x(n), y(v))));
    c.stroke();
  }

  marks(fallbacks, x) {
    const c = this.context, { top, bottom } = this.box;
    c.fillStyle = "#f87171";
    for (const n of fallbacks) c.fillRect(x(n + 0.5) - 1, bottom - (bottom - top) * 0.16, 2, (bottom - top) * 0.16);
  }

  // point shows the frame that is pointed at.
  point(frame, x, y) {
    const v = frame ? this.of(frame) : null;
    if (v === null || !Number.isFinite(v)) {
      this.output.value = "";
      return;
    }
    const c = this.context, { top, bottom } = this.box, at = x(frame.n + 0.5);
    c.strokeStyle = "#93a3bd";
    c.lineWidth = 1;
    c.beginPath();
    c.moveTo(at, top);
    c.lineTo(at, bottom);
    c.stroke();
    c.fillStyle = this.color;
    c.beginPath();
    c.arc(at, y(v), 3.5, 0, 2 * Math.PI);
    c.fill();
    this.output.value = `frame ${frame.n}: ${v.toFixed(this.digits)}${this.unit}`;
  }

  // numberAt returns the frame's number under a place on the canvas.
  numberAt(offsetX) {
    const { left, right } = this.box ?? { left: 0, right: 1 };
    return Math.floor((this.first ?? 0) + (offsetX - left) / (right - left) * ((this.last ?? 0) - (this.first ?? 0)));
  }
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
