"use strict";
// Words keep their size while the plane between them grows, so that zooming in makes room for more of them.
const svg = document.getElementById("map");
const found = document.getElementById("found");
const search = document.getElementById("search");
const names = svg.querySelectorAll(".names text");
const words = [...svg.querySelectorAll(".dots g")].map((dot, i) => ({
  dot, name: names[i], word: names[i].textContent, x: Number(dot.dataset.x), y: Number(dot.dataset.y), wanted: false,
}));
const extent = (key) => [Math.min(...words.map((word) => word[key])), Math.max(...words.map((word) => word[key]))];
const [left, right] = extent("x"), [low, high] = extent("y");
const margin = 24;
let width = 0, height = 0, zoom = 1, centreX = (left + right) / 2, centreY = (low + high) / 2;

function scale() {
  return zoom * Math.min((width - 6 * margin) / (right - left || 1), (height - 2 * margin) / (high - low || 1));
}

function draw() {
  const by = scale(), lines = new Map();
  for (const word of [...words].sort((one, other) => other.wanted - one.wanted)) {
    const x = width / 2 + (word.x - centreX) * by, y = height / 2 - (word.y - centreY) * by;
    for (const part of [word.dot, word.name]) {
      part.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    }
    const end = x + 12 + word.word.length * 7, line = Math.round(y / 14);
    const taken = [line - 1, line, line + 1].flatMap((near) => lines.get(near) ?? []);
    const inside = x > -50 && x < width && y > 0 && y < height;
    const free = inside && !taken.some(([from, to, at]) => from < end && to > x && Math.abs(at - y) < 13);
    if (free) lines.set(line, [...(lines.get(line) ?? []), [x, end, y]]);
    word.name.classList.toggle("quiet", !free && !word.wanted);
  }
}

function resize() {
  width = svg.clientWidth;
  height = svg.clientHeight;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  draw();
}

function zoomTo(next, x = width / 2, y = height / 2) {
  const before = scale();
  zoom = Math.min(Math.max(next, 0.5), 200);
  const change = 1 / before - 1 / scale();
  centreX += (x - width / 2) * change;
  centreY -= (y - height / 2) * change;
  draw();
}

svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = svg.getBoundingClientRect();
  zoomTo(zoom * Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });
svg.addEventListener("pointerdown", (event) => svg.setPointerCapture(event.pointerId));
svg.addEventListener("pointermove", (event) => {
  if (!svg.hasPointerCapture(event.pointerId)) return;
  centreX -= event.movementX / scale();
  centreY += event.movementY / scale();
  draw();
});
document.getElementById("closer").addEventListener("click", () => zoomTo(zoom * 1.5));
document.getElementById("farther").addEventListener("click", () => zoomTo(zoom / 1.5));
document.getElementById("whole").addEventListener("click", () => {
  zoom = 1; centreX = (left + right) / 2; centreY = (low + high) / 2;
  draw();
});
search.addEventListener("input", () => {
  const wanted = search.value.trim().toLowerCase();
  for (const word of words) {
    word.wanted = wanted !== "" && word.word.toLowerCase().includes(wanted);
    for (const part of [word.dot, word.name]) part.classList.toggle("wanted", word.wanted);
  }
  const count = words.filter((word) => word.wanted).length;
  found.textContent = wanted === "" ? "" : `${count} found`;
  draw();
});
document.getElementById("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const exact = words.find((word) => word.wanted && word.word === search.value.trim());
  const target = exact ?? words.find((word) => word.wanted);
  if (!target) return;
  [centreX, centreY] = [target.x, target.y];
  zoomTo(Math.max(zoom, 4));
});
new ResizeObserver(resize).observe(svg);
resize();
