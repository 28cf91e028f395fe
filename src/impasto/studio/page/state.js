/**
 * Everything the page knows, in one object. Modules read it and change it only through set(), so
 * that whoever shows a part of it hears of the change, whoever made it.
 *
 * @typedef {{file: Blob, name: string, url: string, small: Blob, width: number, height: number}} Photo
 * @typedef {{name: string, title: string, kind: "painting" | "learned" | "style", learned: boolean,
 *   thumbnail: string, file?: Blob}} Style
 * @typedef {{name: string, weight: number}} Chosen
 */

export const state = {
  /** @type {Photo | null} */ photo: null,
  /** @type {Style[]} all that can be chosen: the built-in ones and own uploads */ styles: [],
  /** @type {Chosen[]} */ chosen: [],
  preset: "studio",
  /** @type {Record<string, unknown>} the settings that differ from the preset's */ changed: {},
  /** @type {Blob | null} a PNG, white where to paint */ mask: null,
  /** @type {object | null} the job on the stage, as docs/rest.md shows it */ job: null,
  /** @type {{name: string, about: string, recipe: object}[]} */ presets: [],
  /** @type {{name: string, preset: string, settings: string[], style_images: boolean,
   learned_styles: boolean, built_in_styles: boolean, quick: boolean}[]} */ methods: [],
  /** @type {Record<string, object>} the properties of the recipe's JSON Schema */ schema: {},
};

/** What a picture is made from: a change of any of these asks for a new preview. */
export const FORM = ["photo", "chosen", "preset", "changed", "mask"];

const listeners = [];

/**
 * Call `listener` after a change of any of `keys`.
 * @param {string[]} keys
 * @param {(byUser: boolean) => void} listener
 */
export function watch(keys, listener) {
  listeners.push({ keys, listener });
}

/**
 * Change the state. `byUser` is false where an old picture is put back: its settings change, but
 * the picture on the stage is already the one they make.
 * @param {Partial<typeof state>} patch
 */
export function set(patch, byUser = true) {
  Object.assign(state, patch);
  for (const { keys, listener } of listeners) {
    if (keys.some((key) => key in patch)) listener(byUser);
  }
}

/** Is the job on the stage still to be waited for? */
export function isActive(job = state.job) {
  return job !== null && (job.state === "queued" || job.state === "running");
}

/** The chosen styles, with all that is known of each. */
export function chosenStyles() {
  return state.chosen.map(({ name, weight }) => ({
    ...state.styles.find((style) => style.name === name),
    weight,
  }));
}
