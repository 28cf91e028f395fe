/** Zoom and pan: by wheel, pinch, drag, buttons and keys. */

import { byId } from "./messages.js";

const MOST = 16;
const MOVES = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

const view = byId("view");
const plane = byId("plane");
const pointers = new Map();
let aspect = 1.5;
let place = { zoom: 1, x: 0, y: 0 };

/** Fit the plane, of `width` × `height` in whatever unit, into the view. */
export function setShape(width, height) {
  if (Math.abs(aspect - width / height) > 0.01) place = { zoom: 1, x: 0, y: 0 };
  aspect = width / height;
  layOut();
}

function layOut() {
  const width = Math.min(view.clientWidth, view.clientHeight * aspect);
  plane.style.width = `${width}px`;
  plane.style.height = `${width / aspect}px`;
  byId("wipe").style.width = `${width}px`;
  move();
}

function move() {
  // Half of the picture may leave the view, never all of it.
  const reachX = (plane.offsetWidth * place.zoom) / 2;
  const reachY = (plane.offsetHeight * place.zoom) / 2;
  place.x = Math.max(-reachX, Math.min(reachX, place.x));
  place.y = Math.max(-reachY, Math.min(reachY, place.y));
  plane.style.transform = `translate(${place.x}px, ${place.y}px) scale(${place.zoom})`;
  plane.style.setProperty("--zoom", place.zoom);
}

/** Zoom by a factor, keeping the point at (x, y), from the view's centre, where it is. */
function zoomBy(factor, x = 0, y = 0) {
  const zoom = Math.max(1, Math.min(MOST, place.zoom * factor));
  const change = zoom / place.zoom;
  const moved = { zoom, x: x - (x - place.x) * change, y: y - (y - place.y) * change };
  place = zoom === 1 ? { zoom, x: 0, y: 0 } : moved;
  move();
}

function fit() {
  place = { zoom: 1, x: 0, y: 0 };
  move();
}

function fromCentre({ clientX, clientY }) {
  const box = view.getBoundingClientRect();
  return [clientX - box.left - box.width / 2, clientY - box.top - box.height / 2];
}

function spread() {
  const [one, other] = [...pointers.values()];
  return Math.hypot(one[0] - other[0], one[1] - other[1]);
}

function onMove(event) {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const now = fromCentre(event);
  if (pointers.size === 2) {
    const wide = spread();
    pointers.set(event.pointerId, now);
    zoomBy(spread() / Math.max(1, wide), ...now);
    return;
  }
  pointers.set(event.pointerId, now);
  place = { ...place, x: place.x + now[0] - before[0], y: place.y + now[1] - before[1] };
  move();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = MOVES[event.key];
  if (step) place = { ...place, x: place.x + step[0], y: place.y + step[1] };
  else if (event.key === "+" || event.key === "=") zoomBy(1.25);
  else if (event.key === "-") zoomBy(0.8);
  else if (event.key === "0") fit();
  else return;
  event.preventDefault();
  move();
}

/** Wire wheel, pointers, keys and buttons. The brush takes the pointers while it is on. */
export function startView() {
  byId("zoom-in").addEventListener("click", () => zoomBy(1.25));
  byId("zoom-out").addEventListener("click", () => zoomBy(0.8));
  byId("zoom-fit").addEventListener("click", fit);
  view.addEventListener("keydown", onKey);
  view.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY / 400), ...fromCentre(event));
  }, { passive: false });
  view.addEventListener("pointerdown", (event) => {
    view.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, fromCentre(event));
  });
  view.addEventListener("pointermove", onMove);
  for (const end of ["pointerup", "pointercancel"]) {
    view.addEventListener(end, ({ pointerId }) => pointers.delete(pointerId));
  }
  new ResizeObserver(layOut).observe(view);
}
