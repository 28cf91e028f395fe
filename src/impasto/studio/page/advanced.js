/** All the other settings, as fields made from the recipe's JSON Schema. */

import { byId, element } from "./messages.js";
import { activePreset, applies, presetValue } from "./recipe.js";
import { changeSetting } from "./settings.js";
import { set, state, watch } from "./state.js";

/** Settings with a control of their own. Those that can only name a file are left out as well. */
const ELSEWHERE = new Set([
  "preset", "method", "strength", "style_scale", "color", "size",
]);

/** The part of a property's schema that isn't null. */
function kindOf(property) {
  const kind = property.anyOf?.find(({ type }) => type !== "null") ?? property;
  // A file is possible too, but none on the server is meant from here.
  return property.file ? { ...kind, enum: property.file } : kind;
}

function titleOf(name) {
  const words = name.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}

/** A value as its field shows it: layers as "a:1,b:0.5". */
function asText(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value)) return value.join(",");
  return Object.entries(value).map(([key, weight]) => `${key}:${weight}`).join(",");
}

/** What a field says, as the recipe takes it; undefined where the preset's value holds. */
function asValue(text, { type }) {
  if (text.trim() === "") return undefined;
  if (type === "boolean") return text === "true";
  if (type === "number" || type === "integer") return Number(text);
  if (type !== "object") return text.trim();
  const pairs = text.split(",").map((part) => part.split(":"));
  return Object.fromEntries(pairs.map(([key, weight = "1"]) => [key.trim(), Number(weight)]));
}

function selectOf(options) {
  const select = element("select", {}, element("option", { value: "" }));
  for (const option of options) select.append(element("option", { value: option }, titleOf(option)));
  return select;
}

function controlOf(kind) {
  if (kind.enum) return selectOf(kind.enum);
  if (kind.type === "boolean") return selectOf(["true", "false"]);
  if (kind.type !== "number" && kind.type !== "integer") return element("input", { type: "text" });
  const input = element("input", { type: "number", step: kind.type === "integer" ? "1" : "any" });
  const limits = { min: kind.minimum ?? kind.exclusiveMinimum, max: kind.maximum ?? kind.exclusiveMaximum };
  for (const [name, limit] of Object.entries(limits)) {
    if (limit !== undefined) input.setAttribute(name, limit);
  }
  return input;
}

function fieldOf(name, property) {
  const kind = kindOf(property);
  const control = controlOf(kind);
  control.id = `setting-${name}`;
  control.setAttribute("aria-describedby", `about-${name}`);
  control.addEventListener("change", () => changeSetting(name, asValue(control.value, kind)));
  const about = element("p", { id: `about-${name}`, class: "hint" }, property.description ?? "");
  return element("div", { class: "field" }, element("label", { for: control.id }, titleOf(name)), control, about);
}

function presetField() {
  const select = element("select", { id: "setting-preset" });
  for (const { name } of state.presets) select.append(element("option", { value: name }, titleOf(name)));
  select.addEventListener("change", () => set({ preset: select.value }));
  return element("div", { class: "field" }, element("label", { for: select.id }, "Preset"), select);
}

function show() {
  for (const control of byId("advanced-fields").querySelectorAll("[id^=setting-]")) {
    const name = control.id.replace("setting-", "");
    if (name === "preset") {
      control.value = activePreset();
      continue;
    }
    const usual = asText(presetValue(name));
    control.disabled = !applies(name);
    control.value = applies(name) ? asText(state.changed[name]) : "";
    if (control.tagName === "SELECT") control.options[0].textContent = usual ? titleOf(usual) : "Automatic";
    else control.placeholder = usual || "automatic";
  }
}

/** Make the fields; once, when they are first to be seen. */
export function showAdvanced() {
  const fields = Object.entries(state.schema)
    .filter(([name, { file }]) => !ELSEWHERE.has(name) && file?.length !== 0)
    .map(([name, property]) => fieldOf(name, property));
  byId("advanced-fields").replaceChildren(presetField(), ...fields);
  show();
  watch(["preset", "changed", "chosen"], show);
}
