/** The loss curve, on a logarithmic scale. */

import { byId } from "./messages.js";

const WIDTH = 200;
const HEIGHT = 40;

/** @type {Map<number, number>} the total loss by step */
const losses = new Map();

/** Begin an empty curve. */
export function clearLosses() {
  losses.clear();
  draw();
}

/** @param {number} step @param {number} total */
export function addLoss(step, total) {
  if (!(total > 0)) return;
  losses.set(step, total);
  draw();
}

function draw() {
  const svg = byId("losses");
  svg.firstElementChild.setAttribute("points", points().join(" "));
  const totals = [...losses.values()];
  const ends = totals.length && `from ${totals[0].toPrecision(3)} to ${totals.at(-1).toPrecision(3)}`;
  svg.setAttribute("aria-label", ends ? `Loss curve, ${ends}` : "Loss curve, empty so far");
}

function points() {
  const steps = [...losses.keys()];
  const logs = [...losses.values()].map(Math.log);
  const [first, last] = [Math.min(...steps), Math.max(...steps)];
  const [low, high] = [Math.min(...logs), Math.max(...logs)];
  return steps.map((step, n) => {
    const x = ((step - first) / (last - first || 1)) * WIDTH;
    const y = HEIGHT - 2 - ((logs[n] - low) / (high - low || 1)) * (HEIGHT - 4);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
}
