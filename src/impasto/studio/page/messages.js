/** Sentences for the person: errors where they arise, one status line, one question. */

import { chosenStyles } from "./state.js";

export const byId = (id) => document.getElementById(id);

/**
 * An element with attributes and children.
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} children
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** @param {string} text what has just happened; read out by screen readers */
export function say(text) {
  const status = byId("status");
  if (status.textContent !== text) status.textContent = text; // the same isn't read out twice
}

/** Show an error at `id`, with a button that dismisses it. */
export function showError(id, text) {
  const dismiss = element("button", { type: "button", class: "quiet", "aria-label": "Dismiss" }, "×");
  dismiss.addEventListener("click", () => clearError(id));
  byId(id).replaceChildren(element("p", {}, text), dismiss);
}

/** @param {string} id */
export function clearError(id) {
  byId(id).replaceChildren();
}

/** Show an error of a request for a picture by what it is about. */
export function showPictureError(error) {
  if (error.name === "AbortError") return;
  showError(place(error), error.message);
}

function place({ status, message }) {
  const ofStyle = chosenStyles().some(({ file, name }) => file && message.includes(name));
  if (status === 422) return ofStyle ? "styles-error" : "settings-error";
  if (status !== 415 && status !== 413) return "job-error";
  return ofStyle ? "styles-error" : "photo-error";
}

/**
 * Ask before what can't be undone.
 * @param {string} question @param {string} action the word on the button that does it
 * @returns {Promise<boolean>}
 */
export function confirmed(question, action) {
  const dialog = byId("confirm");
  byId("confirm-question").textContent = question;
  byId("confirm-action").textContent = action;
  // No form: the page's Content-Security-Policy allows none to be submitted.
  byId("confirm-keep").onclick = () => dialog.close("no");
  byId("confirm-action").onclick = () => dialog.close("yes");
  dialog.returnValue = "no"; // what Escape answers
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** @param {number} seconds @returns {string} "40 s", "3 min", "2 h" */
export function duration(seconds) {
  if (seconds < 1) return "a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
