/** The REST API (docs/rest.md), with its errors as sentences. */

export class ApiError extends Error {
  /** @param {string} message @param {number} status 0 where no answer came */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function problem(response) {
  if (response.status === 401) {
    return "This studio needs its token: open the address that was printed when it started.";
  }
  try {
    const { detail, title } = await response.json();
    return String(detail || title);
  } catch {
    return `The studio answered ${response.status} ${response.statusText}.`;
  }
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The studio can't be reached. Is it still running?", 0);
  }
  if (!response.ok) throw new ApiError(await problem(response), response.status);
  return response;
}

/** @param {string} path */
export async function getJson(path) {
  return (await request(path)).json();
}

/** @param {string} path */
export async function getBlob(path) {
  return (await request(path)).blob();
}

/** @param {string} path @param {object} [body] */
export async function postJson(path, body = {}, signal = undefined) {
  const headers = { "Content-Type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify(body), signal };
  return (await request(path, options)).json();
}

/** @param {string} path @param {FormData} form */
export async function postForm(path, form, signal = undefined) {
  return request(path, { method: "POST", body: form, signal });
}

/** @param {string} path */
export async function remove(path) {
  await request(path, { method: "DELETE" });
}

/**
 * The form that /v1/jobs and /v1/stylize take.
 * @param {{content: Blob, name: string, styles: object[], mask: Blob | null, recipe: object}} parts
 */
export function pictureForm({ content, name, styles, mask, recipe }) {
  const form = new FormData();
  form.append("content", content, name);
  for (const style of styles) {
    if (style.file) form.append("styles", style.file, style.name);
    else form.append("styles", style.name);
  }
  if (styles.length > 1) form.append("weights", styles.map(({ weight }) => weight).join(","));
  if (mask) form.append("mask", mask, "mask.png");
  form.append("recipe", JSON.stringify(recipe));
  return form;
}

/** The address of a job, or of something of it. */
export function jobPath(id, part = "") {
  return `/v1/jobs/${encodeURIComponent(id)}${part}`;
}

/** Wait until `delay` ms have gone by without another call; for what follows a moving slider. */
export function debounced(delay, action) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, delay);
  };
}
