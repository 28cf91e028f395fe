/** One style, chosen at a click: for the pages that paint films and live pictures. */

import { getJson } from "./api.js";
import { byId, clearError, element, showError } from "./messages.js";
import { ownStyle } from "./own-style.js";

/** @type {import("./state.js").Style | null} */
let chosen = null;

/** The style that is chosen, if any. */
export function chosenStyle() {
  return chosen;
}

function press(style, tile, onChoose) {
  chosen = style;
  for (const other of byId("gallery").children) other.setAttribute("aria-pressed", String(other === tile));
  clearError("styles-error");
  onChoose(style);
}

function tileOf(style, onChoose) {
  const image = element("img", { src: style.thumbnail, alt: "", width: "84", height: "84", loading: "lazy" });
  const tile = element(
    "button",
    { type: "button", "data-style": style.name, "aria-pressed": "false" },
    image,
    element("span", {}, style.title),
  );
  tile.addEventListener("click", () => press(style, tile, onChoose));
  return tile;
}

async function addOwn(file, onChoose) {
  try {
    const style = await ownStyle(file, file.name);
    const tile = tileOf(style, onChoose);
    byId("gallery").prepend(tile);
    press(style, tile, onChoose);
  } catch (error) {
    showError("styles-error", error.message);
  }
}

/** The name of the style in the address of the page, as in /live?style=NAME. */
export function styleInAddress() {
  return new URLSearchParams(location.search).get("style");
}

/**
 * Show the gallery. The style in the address of the page is chosen at once.
 * @param {(style: object) => void} onChoose
 * @param {(style: object) => boolean} isOffered whether to show a style
 */
export async function startPicker(onChoose, isOffered = () => true) {
  byId("style-input").addEventListener("change", async ({ target }) => {
    for (const file of target.files) await addOwn(file, onChoose);
    target.value = "";
  });
  try {
    const { styles } = await getJson("/v1/styles");
    byId("gallery").replaceChildren(...styles.filter(isOffered).map((style) => tileOf(style, onChoose)));
    const wanted = styleInAddress();
    [...byId("gallery").children].find((tile) => tile.dataset.style === wanted)?.click();
  } catch (error) {
    showError("styles-error", error.message);
  }
}

/** A slider that says its value. @param {(value: number) => void} [onChange] */
export function startSlider(id, onChange = () => {}) {
  const slider = byId(id);
  const show = () => {
    byId(`${id}-value`).textContent = Number(slider.value).toString();
  };
  slider.addEventListener("input", () => {
    show();
    onChange(Number(slider.value));
  });
  show();
}
