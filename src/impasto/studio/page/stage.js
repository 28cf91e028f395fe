/** The stage: the picture, what it is wiped against, and what state it is in. */

import { byId } from "./messages.js";
import { state, watch } from "./state.js";
import { setShape } from "./view.js";

const BADGES = { photo: "Photo", preview: "Instant preview", running: "Painting…", stopped: "Stopped" };

let latest = 0;

/**
 * Show a picture once it is decoded, so that nothing flickers; a later call wins.
 * @param {string} url @param {string} stageState what #stage's data-state becomes @param {string} alt
 * @param {{url: string, alt: string}} [before] what the wipe uncovers, by default the photo
 * @returns {Promise<boolean>} whether it is on the stage
 */
export async function showPicture(url, stageState, alt, before = photoBefore()) {
  const turn = ++latest;
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    return false; // the next preview, or the result, takes its place
  }
  if (turn !== latest) return false;
  const picture = byId("picture");
  picture.src = url;
  picture.alt = alt;
  picture.hidden = false;
  if (before) showBefore(before);
  setShape(image.naturalWidth, image.naturalHeight);
  setStage(stageState);
  return true;
}

/** @param {"empty"|"photo"|"preview"|"running"|"done"|"stopped"|"failed"} stageState */
export function setStage(stageState, badge = BADGES[stageState] ?? "") {
  byId("stage").dataset.state = stageState;
  byId("badge").textContent = badge;
  byId("badge").hidden = !badge;
  byId("invitation").hidden = stageState !== "empty";
  byId("wipe").disabled = stageState === "empty" || stageState === "photo";
  if (byId("wipe").disabled) wipeTo(0);
}

function photoBefore() {
  return state.photo && { url: state.photo.url, alt: `The photo ${state.photo.name}` };
}

function showBefore({ url, alt }) {
  const before = byId("before");
  if (before.getAttribute("src") !== url) before.src = url;
  before.alt = alt;
}

/** Wipe to `percent`: so much, from the left, shows what was before. */
export function wipeTo(percent) {
  const wipe = byId("wipe");
  wipe.value = percent;
  wipe.setAttribute("aria-valuetext", `${Math.round(percent)}% before`);
  byId("plane").style.setProperty("--wipe", `${percent}%`);
  const nothing = percent === 0;
  byId("before").hidden = nothing;
  byId("wipe-line").hidden = nothing;
}

/** Show nothing but the photo, or the invitation where there is none. */
export function showPhoto() {
  if (state.photo) {
    showPicture(state.photo.url, "photo", `The photo ${state.photo.name}`);
    return;
  }
  latest++;
  byId("picture").hidden = true;
  setStage("empty");
}

/** Wire the wipe, and the photo as what it uncovers. */
export function startStage() {
  byId("wipe").addEventListener("input", ({ target }) => wipeTo(Number(target.value)));
  watch(["photo"], (byUser) => {
    if (byUser) showPhoto();
  });
}
