/** From the page's settings to a recipe, and back. */

import { chosenStyles, state } from "./state.js";

/** Long side of the instant preview, px: small enough for a second or two on two cores. */
const PREVIEW_SIZE = 512;

/** Does a chosen style belong to the method instant alone? */
export function hasFixedStyle() {
  return chosenStyles().some(({ kind }) => kind === "style");
}

/** The preset in force: a fixed style leaves no choice. */
export function activePreset() {
  return hasFixedStyle() ? "instant" : state.preset;
}

/** Does the preset in force run the method instant? */
export function isInstant() {
  return activePreset() === "instant";
}

/** Does a setting mean anything with the preset in force? */
export function applies(name) {
  return !isInstant() || state.forInstant.has(name);
}

/** The value that a setting has if it isn't changed. */
export function presetValue(name, preset = activePreset()) {
  const recipe = state.presets.find((known) => known.name === preset)?.recipe ?? {};
  return name in recipe ? recipe[name] : state.schema[name]?.default;
}

/** The value of a setting now. */
export function value(name) {
  return name in state.changed && applies(name) ? state.changed[name] : presetValue(name);
}

/** Change one setting; the preset's own value, or undefined, takes the change back. */
export function withChange(name, newValue) {
  const changed = { ...state.changed };
  if (newValue === undefined || same(newValue, presetValue(name))) delete changed[name];
  else changed[name] = newValue;
  return changed;
}

/** What to send with a job. */
export function currentRecipe() {
  const kept = Object.entries(state.changed).filter(([name]) => applies(name));
  return { preset: activePreset(), ...Object.fromEntries(kept) };
}

/** What to send for the instant preview: of the settings, those that it can show. */
export function previewRecipe() {
  const shown = Object.entries(state.changed).filter(([name]) => state.forInstant.has(name));
  const { print, dpi, ...rest } = Object.fromEntries(shown);
  return { ...rest, preset: "instant", size: PREVIEW_SIZE };
}

/** The state that a recipe describes; one may name every setting, so only real changes count. */
export function fromRecipe({ preset, method, mask, region, style_mask, ...settings }) {
  const known = method === "instant" ? "instant" : preset ?? "studio";
  const changed = Object.entries(settings).filter(
    ([name, setting]) =>
      name in state.schema &&
      !same(setting, presetValue(name, known)) &&
      (known !== "instant" || state.forInstant.has(name)),
  );
  return { preset: known, changed: Object.fromEntries(changed) };
}

function same(one, other) {
  return JSON.stringify(one ?? null) === JSON.stringify(other ?? null);
}
