// The map of vectors: draws the points, and lets a lasso or a box be drawn around some, by mouse, finger or keys.
"use strict";

const map = {
  canvas: document.getElementById("map"),
  points: [],
  values: null,
  range: null,
  corners: [], // of the part that is drawn or was chosen, within 0 and 1
  isDrawing: false,
  isBox: false,
  box: { x: 0.5, y: 0.5, size: 0.1 },
};

function shade(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// From blue over grey to orange: told apart by people who do not see red and green apart, in both themes.
function colourOf(value) {
  if (value === null || value === undefined) return shade("--line");
  const [low, high] = map.range;
  const part = Math.min(1, Math.max(0, high > low ? (value - low) / (high - low) : 0.5));
  const stops = [[46, 97, 168], [150, 150, 150], [214, 112, 30]];
  const first = part < 0.5 ? 0 : 1, share = part < 0.5 ? part * 2 : part * 2 - 1;
  const mixed = stops[first].map((start, channel) => Math.round(start + (stops[first + 1][channel] - start) * share));
  return `rgb(${mixed.join(",")})`;
}

function draw() {
  const { canvas } = map;
  const width = canvas.clientWidth, ratio = devicePixelRatio || 1;
  if (!width) return;
  canvas.width = width * ratio;
  canvas.height = width * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio * width, ratio * width);
  const radius = Math.max(0.0025, Math.min(0.009, 0.09 / Math.sqrt(map.points.length || 1)));
  const plain = shade("--bar");
  pen.globalAlpha = 0.8;
  map.points.forEach(([x, y], number) => {
    pen.fillStyle = map.values && map.range ? colourOf(map.values[number]) : plain;
    pen.beginPath();
    pen.arc(x, 1 - y, radius, 0, 2 * Math.PI);
    pen.fill();
  });
  pen.globalAlpha = 1;
  if (map.corners.length > 1) {
    const shape = map.corners.length === 2 ? boxAround(...map.corners) : map.corners;
    pen.beginPath();
    shape.forEach(([x, y], number) => (number ? pen.lineTo(x, 1 - y) : pen.moveTo(x, 1 - y)));
    pen.closePath();
    pen.lineWidth = 2 / width;
    pen.strokeStyle = shade("--paper");
    pen.fillStyle = shade("--paper");
    pen.globalAlpha = 0.12;
    pen.fill();
    pen.globalAlpha = 1;
    pen.stroke();
  }
}

function boxAround([x1, y1], [x2, y2]) {
  return [[x1, y1], [x2, y1], [x2, y2], [x1, y2]];
}

function at(event) {
  const place = map.canvas.getBoundingClientRect();
  return [(event.clientX - place.left) / place.width, 1 - (event.clientY - place.top) / place.height];
}

function choose(corners) {
  map.corners = corners;
  const field = document.getElementById("inside");
  field.value = corners.map((corner) => corner.map((number) => number.toFixed(4)).join(",")).join(" ");
  field.dispatchEvent(new Event("input", { bubbles: true }));
  draw();
}

function start(event) {
  if (event.button) return;
  map.isDrawing = true;
  map.isBox = event.shiftKey;
  map.corners = [at(event)];
  map.canvas.setPointerCapture(event.pointerId);
}

function move(event) {
  if (!map.isDrawing) return;
  const here = at(event), last = map.corners[map.corners.length - 1];
  if (map.isBox) map.corners = [map.corners[0], here];
  else if (map.corners.length < 390 && Math.hypot(here[0] - last[0], here[1] - last[1]) > 0.006) map.corners.push(here);
  draw();
}

function stop() {
  if (!map.isDrawing) return;
  map.isDrawing = false;
  const enough = map.corners.length === 2 && map.isBox || map.corners.length > 2;
  if (enough) choose(map.corners);
  else { map.corners = []; draw(); }
}

function press(event) {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const { box } = map;
  if (event.key in steps) {
    const [right, up] = steps[event.key], step = event.shiftKey ? 0.1 : 0.02;
    box.x = Math.min(1, Math.max(0, box.x + right * step));
    box.y = Math.min(1, Math.max(0, box.y + up * step));
  } else if (event.key === "+" || event.key === "=") box.size = Math.min(1, box.size * 1.25);
  else if (event.key === "-") box.size = Math.max(0.02, box.size / 1.25);
  else if (event.key !== "Enter") return;
  event.preventDefault();
  event.stopPropagation();
  map.corners = [[box.x - box.size, box.y - box.size], [box.x + box.size, box.y + box.size]];
  if (event.key === "Enter") choose(map.corners);
  else draw();
}

function showScale() {
  const scale = document.getElementById("scale");
  if (!scale) return;
  scale.hidden = !(map.values && map.range);
  if (scale.hidden) return;
  document.getElementById("scale-low").textContent = Number(map.range[0].toPrecision(3));
  document.getElementById("scale-high").textContent = Number(map.range[1].toPrecision(3));
  const bar = document.getElementById("scale-bar"), pen = bar.getContext("2d");
  for (let x = 0; x < bar.width; x++) {
    pen.fillStyle = colourOf(map.range[0] + (map.range[1] - map.range[0]) * x / bar.width);
    pen.fillRect(x, 0, 1, bar.height);
  }
}

async function load() {
  const form = document.getElementById("map-form");
  const asked = new URLSearchParams();
  for (const name of ["vectors", "method", "colour"]) if (form.elements[name] && form.elements[name].value) asked.set(name, form.elements[name].value);
  const answer = await fetch(`/dataset/map/points?${asked}`);
  if (!answer.ok) return;
  Object.assign(map, await answer.json());
  map.canvas.dataset.points = map.points.length;
  showScale();
  draw();
}

if (map.canvas) {
  map.corners = document.getElementById("inside").value.split(" ").filter(Boolean).map((corner) => corner.split(",").map(Number));
  map.canvas.addEventListener("pointerdown", start);
  map.canvas.addEventListener("pointermove", move);
  map.canvas.addEventListener("pointerup", stop);
  map.canvas.addEventListener("pointercancel", stop);
  map.canvas.addEventListener("keydown", press);
  document.getElementById("clear").addEventListener("click", () => choose([]));
  for (const name of ["method", "colour"]) {
    const field = document.getElementById(name);
    if (field) field.addEventListener("input", () => { if (name === "method") choose([]); load(); });
  }
  const vectors = document.getElementById("vectors");  // the whole page speaks of them
  if (vectors) vectors.addEventListener("input", () => location.assign(`/dataset/map?${new URLSearchParams({ vectors: vectors.value })}`));
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { showScale(); draw(); });
  load();
}
