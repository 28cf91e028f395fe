/** The gallery of paintings and styles, own uploads, and the one to four that are chosen. */

import { getJson } from "./api.js";
import { byId, clearError, element, showError } from "./messages.js";
import { isStyleFile, ownStyle } from "./own-style.js";
import { fixedKind } from "./recipe.js";
import { chosenStyles, set, state, watch } from "./state.js";

/** How many blend. */
const MOST = 4;

/** Get the built-in ones; own uploads stay in front. */
export async function loadStyles() {
  try {
    const { styles } = await getJson("/v1/styles");
    set({ styles: [...state.styles.filter(({ file }) => file), ...styles] });
  } catch (error) {
    showError("styles-error", error.message);
  }
}

/**
 * Add the user's own image or style file to the gallery, unless it is there. Throws an error for the user.
 * @returns {Promise<string>} its name there: another image of that name keeps it
 */
export async function addStyle(file, name = file.name || "pasted.png", learned = isStyleFile({ name })) {
  const own = await ownStyle(file, name, learned);
  for (let number = 1; ; number++) {
    const free = number === 1 ? name : numbered(name, number);
    const known = state.styles.find((style) => style.name === free);
    if (known && !(await isSame(known.file, file))) continue;
    if (!known) {
      const title = free === name ? own.title : free;
      set({ styles: [{ ...own, name: free, title }, ...state.styles] });
    }
    return free;
  }
}

/** `image.jpg` → `image (2).jpg` */
function numbered(name, number) {
  const dot = name.lastIndexOf(".");
  const end = dot > 0 ? dot : name.length;
  return `${name.slice(0, end)} (${number})${name.slice(end)}`;
}

/** Whether two files hold the same bytes. @param {Blob | undefined} one @param {Blob} other */
async function isSame(one, other) {
  if (one?.size !== other.size) return false;
  const [these, those] = await Promise.all([one.arrayBuffer(), other.arrayBuffer()]);
  const rest = new Uint8Array(those);
  return new Uint8Array(these).every((byte, index) => byte === rest[index]);
}

/** Add images and choose them. @param {Iterable<File>} files */
export async function useStyles(files) {
  clearError("styles-error");
  try {
    for (const file of files) {
      const name = await addStyle(file);
      if (state.chosen.some((chosen) => chosen.name === name)) set({ chosen: state.chosen });
      else choose(name);
    }
  } catch (error) {
    showError("styles-error", error.message);
  }
}

/** Whether a style can be blended with the chosen ones. A built-in style can't be blended. */
function blends({ kind }) {
  return kind !== "style" && state.chosen.length > 0 && kind === (fixedKind() ?? "painting");
}

/** Choose a style, or give it up. */
export function choose(name) {
  clearError("styles-error");
  const style = state.styles.find((known) => known.name === name);
  const without = state.chosen.filter((chosen) => chosen.name !== name);
  const added = { name, weight: 1 };
  if (without.length < state.chosen.length) set({ chosen: without });
  else if (!blends(style)) set({ chosen: [added] });
  else if (without.length < MOST) set({ chosen: [...without, added] });
  else showError("styles-error", `${MOST} styles blend at most; take one away first.`);
}

function showGallery() {
  const tiles = state.styles.map(({ name, title, thumbnail }) => {
    const image = element("img", { src: thumbnail, alt: "", width: "84", height: "84", loading: "lazy" });
    const tile = element("button", { type: "button", "data-style": name }, image, element("span", {}, title));
    tile.addEventListener("click", () => choose(name));
    return tile;
  });
  byId("gallery").replaceChildren(...tiles);
  filter();
  showPressed();
}

function showPressed() {
  const names = new Set(state.chosen.map(({ name }) => name));
  for (const tile of byId("gallery").children) {
    tile.setAttribute("aria-pressed", String(names.has(tile.dataset.style)));
  }
}

function filter() {
  const words = byId("style-search").value.toLowerCase().split(/\s+/);
  let shown = 0;
  for (const tile of byId("gallery").children) {
    const text = `${tile.dataset.style} ${tile.textContent}`.toLowerCase();
    tile.hidden = !words.every((word) => text.includes(word));
    shown += tile.hidden ? 0 : 1;
  }
  byId("gallery-empty").hidden = shown > 0 || !state.styles.length;
}

function showChosen() {
  const list = byId("chosen");
  const chosen = chosenStyles();
  const shown = [...list.children].map((item) => item.dataset.name).join("\n");
  // A slider in the hand must stay the same element while its weight changes.
  if (shown === chosen.map(({ name }) => name).join("\n") && chosen.length) return;
  list.replaceChildren(...chosen.map((style) => chosenItem(style, chosen.length > 1)));
}

function chosenItem({ name, title, weight, thumbnail }, blended) {
  const image = element("img", { src: thumbnail, alt: "", width: "36", height: "36" });
  const item = element("li", { "data-name": name }, image, element("span", {}, title));
  if (blended) {
    const limits = { type: "range", min: "0.05", max: "1", step: "0.05" };
    const slider = element("input", { ...limits, "aria-label": `Weight of ${title}` });
    slider.value = weight;
    slider.addEventListener("input", () => setWeight(name, Number(slider.value)));
    item.append(slider);
  }
  const label = `Take ${title} away`;
  const button = element("button", { type: "button", class: "quiet", "aria-label": label }, "×");
  button.addEventListener("click", () => choose(name));
  item.append(button);
  return item;
}

function setWeight(name, weight) {
  set({ chosen: state.chosen.map((each) => (each.name === name ? { name, weight } : each)) });
}

function showNote() {
  const blend = state.chosen.length ? "Add up to four; they blend by weight." : "Choose a painting. Up to four blend.";
  const notes = {
    style: "A style of the quick method: it can't be blended, and Instant is its only detail.",
    learned: "A network has learned this style, and paints it in one pass. Up to four such styles blend.",
  };
  byId("styles-note").textContent = notes[fixedKind()] ?? blend;
}

/** Wire the search box and the upload. */
export function startStyles() {
  byId("style-search").addEventListener("input", filter);
  byId("style-input").addEventListener("change", async ({ target }) => {
    await useStyles([...target.files]);
    target.value = "";
  });
  watch(["styles"], showGallery);
  watch(["chosen", "styles"], () => {
    showPressed();
    showChosen();
    showNote();
  });
}
