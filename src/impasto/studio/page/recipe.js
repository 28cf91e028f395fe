/** From the page's settings to a recipe, and back. */

import { chosenStyles, state } from "./state.js";

/** Long side of the preview, px: small enough for a second or two on two cores. */
const PREVIEW_SIZE = 512;

/** Kind of a style → the property of a method that accepts it. */
const NEEDED = { painting: "style_images", learned: "learned_styles", style: "built_in_styles" };

/** The kind of the chosen styles if they are built in or learned, which only some methods accept. */
export function fixedKind() {
  return chosenStyles().find(({ kind }) => kind && kind !== "painting")?.kind;
}

/** What is known of a preset's method. */
function methodOf(preset) {
  const name = state.presets.find((known) => known.name === preset)?.recipe.method;
  return state.methods.find((method) => method.name === name);
}

/** Whether a method accepts a style. A bundled painting with a style file also counts as learned. */
function accepts(method, { kind, learned }) {
  return method[NEEDED[kind]] || (learned && method.learned_styles);
}

/** Can a preset's method paint the chosen styles? */
export function isUsable(preset) {
  const method = methodOf(preset);
  return !method || chosenStyles().every((style) => !style.kind || accepts(method, style));
}

/** The preset that is used: the chosen one, or that of a method which accepts the chosen styles. */
export function activePreset() {
  if (isUsable(state.preset)) return state.preset;
  return state.methods.find(({ preset }) => isUsable(preset))?.preset ?? state.preset;
}

/** Has the method of a preset a setting? */
export function applies(name, preset = activePreset()) {
  return methodOf(preset)?.settings.includes(name) ?? true;
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

/** What to send for the preview. The server leaves out the settings that it can't show. */
export function previewRecipe() {
  const { print, dpi, ...rest } = currentRecipe();
  return { ...rest, size: PREVIEW_SIZE };
}

/** The state that a recipe describes; one may name every setting, so only real changes count. */
export function fromRecipe({ preset, method, mask, region, style_mask, ...settings }) {
  const known = presetOf(preset ?? "studio", method);
  const changed = Object.entries(settings).filter(
    ([name, setting]) =>
      name in state.schema &&
      applies(name, known) &&
      !same(setting, presetValue(name, known)),
  );
  return { preset: known, changed: Object.fromEntries(changed) };
}

/** A preset with a recipe's method: its own, or else that of the method. */
function presetOf(preset, method) {
  if (!method || methodOf(preset)?.name === method) return preset;
  return state.methods.find(({ name }) => name === method)?.preset ?? preset;
}

function same(one, other) {
  return JSON.stringify(one ?? null) === JSON.stringify(other ?? null);
}
