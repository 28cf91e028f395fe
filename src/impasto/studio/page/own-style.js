/** The user's own styles: images, and style files, of which the page shows the thumbnail. */

const LENGTH_BYTES = 8;
const MAX_HEADER_BYTES = 1_000_000;

/** @param {{name?: string}} file */
export function isStyleFile({ name = "" }) {
  return name.toLowerCase().endsWith(".style");
}

/**
 * The style for the gallery. Throws an error for the user if the file is neither an image nor a style file.
 * @param {Blob} file @param {string} name @param {boolean} learned whether it is a style file
 * @returns {Promise<import("./state.js").Style>}
 */
export async function ownStyle(file, name, learned = isStyleFile({ name })) {
  const thumbnail = learned ? await thumbnailInside(file, name) : await imageAddress(file, name);
  return { name, title: name.replace(/\.style$/i, ""), kind: learned ? "learned" : "painting", learned, thumbnail, file };
}

async function imageAddress(file, name) {
  try {
    (await createImageBitmap(file)).close();
  } catch {
    throw new Error(`${name} isn't an image that this browser can show; try a JPEG or PNG.`);
  }
  return URL.createObjectURL(file);
}

/** The thumbnail in the header of a style file (safetensors). The server validates the rest of the file. */
async function thumbnailInside(file, name) {
  try {
    const head = new DataView(await file.slice(0, LENGTH_BYTES).arrayBuffer());
    const length = Number(head.getBigUint64(0, true));
    if (length > MAX_HEADER_BYTES) throw new RangeError("too long");
    const header = JSON.parse(await file.slice(LENGTH_BYTES, LENGTH_BYTES + length).text());
    const { thumbnail } = JSON.parse(header.__metadata__.impasto_style);
    return `data:image/webp;base64,${thumbnail.replaceAll(/\s/g, "")}`;
  } catch {
    throw new Error(`${name} isn't a style file.`);
  }
}
