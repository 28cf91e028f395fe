/** Styles of one's own: images, and style files (impasto learn), of which the page shows the picture inside. */

const LENGTH_BYTES = 8;
const MAX_HEADER_BYTES = 1_000_000;

/** @param {{name?: string}} file */
export function isStyleFile({ name = "" }) {
  return name.toLowerCase().endsWith(".style");
}

/**
 * What the gallery needs of a file. Throws a sentence where it is neither an image nor a style file.
 * @param {Blob} file @param {string} name @param {boolean} learned whether it is a style file
 * @returns {Promise<import("./state.js").Style>}
 */
export async function ownStyle(file, name, learned = isStyleFile({ name })) {
  const thumbnail = learned ? await pictureInside(file, name) : await imageAddress(file, name);
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

/** The picture in a style file, a safetensors file. The studio checks the rest when it is sent. */
async function pictureInside(file, name) {
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
