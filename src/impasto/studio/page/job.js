/** The job on the stage: begun, followed, stopped, continued, discarded, and found again. */

import { getBlob, getJson, jobPath, pictureForm, postForm, postJson, remove } from "./api.js";
import { drawMask } from "./brush.js";
import { addLoss, clearLosses } from "./losses.js";
import { byId, clearError, confirmed, say, showError, showPictureError } from "./messages.js";
import { readPhoto } from "./photo.js";
import { requestPreview } from "./preview.js";
import { currentRecipe, fromRecipe } from "./recipe.js";
import { setStage, showPhoto, showPicture } from "./stage.js";
import { chosenStyles, isActive, set, state, watch } from "./state.js";
import { addStyle } from "./styles.js";

/** Long side of a result on the stage, px: what a phone can still decode. */
const STAGE_SIZE = 4096;
const RETRY_MS = 3000;

/** @type {EventSource | null} */
let events = null;

/** The address of a job's picture, no larger than `most` px. */
export function resultUrl(job, most) {
  const smaller = Math.max(job.result.width, job.result.height) > most ? `&size=${most}` : "";
  return jobPath(job.id, `/result?format=jpeg${smaller}`);
}

/** Begin a job with the photo, styles and settings chosen. */
async function paint() {
  if (!state.photo) showError("photo-error", "Choose a photo first, or try an example.");
  if (!state.chosen.length) showError("styles-error", "Choose a painting first.");
  if (!state.photo || !state.chosen.length) return;
  const { file, name } = state.photo;
  const parts = { content: file, name, styles: chosenStyles(), mask: state.mask, recipe: currentRecipe() };
  byId("paint").disabled = true;
  say("Sending the photo…");
  try {
    begin(await (await postForm("/v1/jobs", pictureForm(parts))).json());
  } catch (error) {
    say("Not begun.");
    showPictureError(error);
    byId("paint").disabled = false;
  }
}

/** Put a job on the stage and follow it. */
function begin(job) {
  clearError("job-error");
  set({ job });
  showJob(job);
  follow(job.id);
}

/** Show the best picture there is of a job. */
function showJob(job) {
  if (job.state === "failed") {
    setStage("failed");
    showError("job-error", job.error ?? "The painting failed.");
  } else if (job.result) {
    showPicture(resultUrl(job, STAGE_SIZE), job.state, `The picture ${job.name}`);
  } else if (job.preview > 0) {
    const url = jobPath(job.id, `/preview?rev=${job.preview}`);
    showPicture(url, "running", "The picture so far");
  } else {
    setStage("running", job.state === "queued" ? "Queued" : undefined);
  }
}

/** Follow a job's events; those of a job that has ended only draw its loss curve. */
function follow(id) {
  unfollow();
  clearLosses();
  const source = new EventSource(jobPath(id, "/events"));
  let lost = false;
  events = source;
  source.addEventListener("open", () => {
    if (lost) say("Connected again.");
    lost = false;
  });
  source.addEventListener("queued", ({ data }) => {
    if (state.job.state === "queued") update(JSON.parse(data));
  });
  source.addEventListener("progress", ({ data }) => {
    const progress = JSON.parse(data);
    if (progress.losses) addLoss(progress.step, progress.losses.total);
    // After a reload the events begin anew; what has gone by isn't gone through again.
    if (isActive() && progress.step >= state.job.step) update({ state: "running", ...progress });
  });
  for (const end of ["done", "stopped", "failed"]) {
    source.addEventListener(end, ({ data }) => {
      unfollow();
      if (isActive()) update(JSON.parse(data));
    });
  }
  source.addEventListener("error", () => {
    if (!isActive()) unfollow();
    else {
      lost = true;
      say("Connection lost, trying again…");
      if (source.readyState === EventSource.CLOSED) setTimeout(() => retry(id, source), RETRY_MS);
    }
  });
}

/** The browser tries again by itself only after some failures; after the others, do it here. */
async function retry(id, source) {
  if (events !== source) return;
  try {
    const job = await getJson(jobPath(id));
    if (events === source) begin(job);
  } catch (error) {
    if (error.status === 0) setTimeout(() => retry(id, source), RETRY_MS);
    else leave(error.message);
  }
}

function update(news) {
  const before = state.job;
  const job = { ...before, ...news };
  set({ job });
  if (job.preview !== before.preview || job.state !== before.state) showJob(job);
}

function unfollow() {
  events?.close();
  events = null;
}

/** Take the job off the stage. */
function leave(sentence = "") {
  set({ job: null });
  if (sentence) showError("job-error", sentence);
  showPhoto();
  requestPreview();
}

async function stop() {
  byId("stop").disabled = true;
  say("Stopping after this step…");
  try {
    await postJson(jobPath(state.job.id, "/stop"));
  } catch (error) {
    showError("job-error", error.message);
  }
}

async function goOn() {
  const how = byId("continue-with").value;
  const { id, result } = state.job;
  const more = {
    finish: () => ({}),
    larger: () => ({ size: 2 * Math.max(result.width, result.height) }),
  };
  try {
    begin(await postJson(jobPath(id, "/continue"), more[how]?.() ?? { steps: Number(how) }));
  } catch (error) {
    showError("job-error", error.message);
  }
}

async function discard() {
  const { id, name } = state.job;
  if (!(await confirmed(`Discard ${name}? It can't be brought back.`, "Discard"))) return;
  try {
    await remove(jobPath(id));
    leave();
    say("Discarded.");
  } catch (error) {
    showError("job-error", error.message);
  }
}

/** A job's styles; those that aren't built in with their files. */
async function stylesOf(job) {
  const isBuiltIn = ({ name }) => state.styles.some((style) => style.name === name && !style.file);
  return Promise.all(
    job.styles.map(async (style, n) =>
      isBuiltIn(style) ? style : { ...style, file: await getBlob(jobPath(job.id, `/styles/${n}`)) },
    ),
  );
}

/** What is chosen for a job's styles. Those that aren't in the gallery are added to it. */
async function chosenFrom(styles) {
  const chosen = [];
  for (const { name, weight, file, learned } of styles) {
    try {
      chosen.push({ name: file ? await addStyle(file, name, learned) : name, weight });
    } catch (error) {
      showPictureError(error);
    }
  }
  return chosen;
}

let opening = 0;

/** Open a job, with its photo, styles and settings, as if it had just been made. */
export async function openJob(id) {
  const turn = ++opening;
  clearError("job-error");
  try {
    const job = await getJson(jobPath(id));
    const mask = job.mask ? await getBlob(jobPath(id, "/mask")) : null;
    const photo = await readPhoto(await getBlob(jobPath(id, "/content")), job.content.name);
    const styles = await stylesOf(job);
    if (turn !== opening) return;
    const chosen = await chosenFrom(styles);
    set({ photo, chosen, mask, ...fromRecipe(job.recipe) }, false);
    if (mask) await drawMask(mask);
    if (!job.result && !job.preview) showPhoto();
    begin(job);
  } catch (error) {
    showError("job-error", error.message);
  }
}

/** The job that the address names, if any. */
export function jobInAddress() {
  return new URLSearchParams(location.hash.slice(1)).get("job");
}

/** Wire the buttons and keep the address. */
export function startJob() {
  byId("paint").addEventListener("click", paint);
  byId("stop").addEventListener("click", stop);
  byId("continue").addEventListener("click", goOn);
  byId("discard").addEventListener("click", discard);
  addEventListener("hashchange", () => {
    const id = jobInAddress();
    if (id && id !== state.job?.id) openJob(id);
  });
  watch(["job"], () => {
    if (!state.job) {
      unfollow();
      clearLosses();
    }
    const hash = state.job ? `#job=${state.job.id}` : "";
    if (location.hash !== hash) history.replaceState(null, "", location.pathname + location.search + hash);
  });
}
