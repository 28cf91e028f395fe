/** The photo: chosen, taken, dropped, pasted, or an example. */

import { getBlob, getJson } from "./api.js";
import { byId, clearError, say, showError } from "./messages.js";
import { set, state, watch } from "./state.js";

/** Long side of the copy that previews are made from, px: it travels and decodes faster. */
const SMALL = 768;

/**
 * Read an image into what the page needs of a photo. Throws a sentence where it isn't one.
 * @param {Blob} file @param {string} name
 * @returns {Promise<import("./state.js").Photo>}
 */
export async function readPhoto(file, name) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(`${name} isn't an image that this browser can show; try a JPEG or PNG.`);
  }
  const { width, height } = bitmap;
  const small = await smaller(bitmap, file);
  bitmap.close();
  return { file, name, url: URL.createObjectURL(file), small, width, height };
}

async function smaller(bitmap, file) {
  const scale = SMALL / Math.max(bitmap.width, bitmap.height);
  if (scale >= 1) return file;
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  // Only a JPEG is opaque for certain; what is transparent would become black in one.
  const type = file.type === "image/jpeg" ? "image/jpeg" : "image/webp";
  return new Promise((resolve) => canvas.toBlob((blob) => resolve(blob ?? file), type, 0.92));
}

/** Make `file` the photo; what was painted over the one before doesn't fit it. */
export async function usePhoto(file, name = file.name || "pasted.png") {
  clearError("photo-error");
  try {
    const photo = await readPhoto(file, name);
    if (state.photo) URL.revokeObjectURL(state.photo.url);
    set({ photo, mask: null, job: null });
    say(state.chosen.length ? `${name} is the photo.` : `${name} is the photo. Now choose a painting.`);
  } catch (error) {
    showError("photo-error", error.message);
  }
}

let nextExample = 0;

/** Take the next of the studio's example photos, and a painting where none is chosen. */
async function useExample() {
  clearError("photo-error");
  try {
    const { examples } = await getJson("/v1/examples");
    const { name, title } = examples[nextExample++ % examples.length];
    await usePhoto(await getBlob(`/v1/examples/${encodeURIComponent(name)}`), name);
    const painting = state.styles.find(({ kind }) => kind === "painting");
    if (!state.chosen.length && painting) set({ chosen: [{ name: painting.name, weight: 1 }] });
    say(`The example "${title}" is the photo. Choose another painting, or press Paint.`);
  } catch (error) {
    showError("photo-error", error.message);
  }
}

/** Wire the buttons. */
export function startPhoto() {
  for (const id of ["photo-input", "camera-input"]) {
    byId(id).addEventListener("change", ({ target }) => {
      if (target.files.length) usePhoto(target.files[0]);
      target.value = ""; // so that the same file can be chosen again
    });
  }
  byId("example").addEventListener("click", useExample);
  watch(["photo"], () => {
    const { photo } = state;
    byId("photo-name").textContent = photo
      ? `${photo.name}, ${photo.width} × ${photo.height}`
      : "Or drop or paste one anywhere.";
  });
}
