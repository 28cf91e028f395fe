/** The settings beside the picture: detail, strength, stroke size, colours and size. */

import { byId } from "./messages.js";
import { activePreset, fixedKind, isUsable, value, withChange } from "./recipe.js";
import { set, state, watch } from "./state.js";

/** The setting behind each control. */
const CONTROLS = { strength: "strength", stroke: "style_scale", color: "color", size: "size" };

/** Change one setting, as the person asked. @param {string} name @param {unknown} newValue */
export function changeSetting(name, newValue) {
  set({ changed: withChange(name, newValue) });
}

function read(control) {
  if (control.tagName === "SELECT") return control.value;
  return control.value === "" ? undefined : Number(control.value);
}

function show() {
  for (const radio of document.getElementsByName("detail")) {
    radio.checked = radio.value === activePreset();
    radio.disabled = !isUsable(radio.value);
  }
  for (const [id, name] of Object.entries(CONTROLS)) {
    const control = byId(id);
    const now = value(name);
    if (now === undefined || control === document.activeElement) continue;
    // A recipe may go further than the slider does.
    if (control.type === "range" && now > Number(control.max)) control.max = now;
    control.value = now;
  }
  byId("strength-value").textContent = value("strength") ?? 1;
  byId("stroke-value").textContent = value("style_scale") ?? 1;
  showNote();
}

function showNote() {
  const preset = state.presets.find(({ name }) => name === activePreset());
  byId("detail-note").textContent = fixedKind()
    ? `A network has learned the chosen style: the method ${preset?.recipe.method} paints it.`
    : capitalized(preset?.about ?? "");
}

function capitalized(text) {
  return text && `${text[0].toUpperCase()}${text.slice(1)}.`;
}

/** Wire the controls. */
export function startSettings() {
  for (const radio of document.getElementsByName("detail")) {
    radio.addEventListener("change", () => set({ preset: radio.value }));
  }
  for (const [id, name] of Object.entries(CONTROLS)) {
    byId(id).addEventListener("input", ({ target }) => changeSetting(name, read(target)));
    byId(id).addEventListener("blur", show); // an emptied field shows the preset's value again
  }
  byId("reset").addEventListener("click", () => set({ preset: "studio", changed: {} }));
  watch(["preset", "changed", "chosen", "presets", "schema"], show);
}
