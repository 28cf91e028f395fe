/** The page on which a network learns the style of a painting: start, progress, result. */

import { getJson, jobPath, postForm, postJson } from "./api.js";
import { follow } from "./follow.js";
import { byId, clearError, duration, say, showError } from "./messages.js";
import { chosenStyle, startPicker } from "./picker.js";

/** The pages on which a style can be used, by their links. */
const PAGES = { "use-picture": "/", "use-live": "/live", "use-video": "/video" };

/** @type {object | null} */ let job = null;
/** @type {EventSource | null} */ let events = null;
/** Whether the user has entered a name. Otherwise the name is that of the painting. */ let isNamed = false;

function suggestName({ title }) {
  if (!isNamed) byId("style-name").value = title.replace(/\.[^.]*$/, "");
}

function form(style) {
  const made = new FormData();
  if (style.file) made.append("styles", style.file, style.name);
  else made.append("styles", style.name);
  made.append("name", byId("style-name").value.trim());
  const settings = { quality: byId("quality").value, network: byId("network").value };
  made.append("settings", JSON.stringify(settings));
  return made;
}

async function start() {
  for (const id of ["styles-error", "job-error"]) clearError(id);
  const style = chosenStyle();
  if (!style) {
    showError("styles-error", "Choose a painting first.");
    return;
  }
  byId("start").disabled = true;
  say("Sending the painting…");
  try {
    begin(await (await postForm("/v1/learn", form(style))).json());
  } catch (error) {
    byId("start").disabled = false;
    say("The training wasn't started.");
    showError(style.file && error.message.includes(style.name) ? "styles-error" : "job-error", error.message);
  }
}

function begin(made) {
  job = made;
  history.replaceState(null, "", `#job=${job.id}`);
  byId("sheet").hidden = true;
  show();
  events?.close();
  events = follow(job.id, update, isActive);
}

function isActive() {
  return job?.state === "queued" || job?.state === "running";
}

function update(changes) {
  const lastPreview = job.preview;
  job = { ...job, ...changes };
  show(job.preview !== lastPreview);
}

function sentence() {
  const place = job.style ? `${job.style} is in your library.` : (job.notes ?? []).join(" ");
  return {
    queued: "Queued.",
    running: `Learning ${job.name}.`,
    done: `Done. ${place}`,
    stopped: `Stopped; the style is kept. ${place}`,
    failed: "The training failed.",
  }[job.state];
}

function details() {
  if (!job.step || job.state === "failed") return "";
  const parts = [`${Math.round(100 * (job.share ?? 0))} % done`, `${job.step} steps`];
  if (job.losses?.style) parts.push(`style loss ${job.losses.style.toPrecision(3)}`);
  if (isActive() && job.eta) parts.push(`about ${duration(job.eta)} left`);
  return parts.join(", ");
}

function show(isNewSheet = true) {
  byId("start").disabled = isActive();
  byId("start").textContent = isActive() ? "Learning…" : "Learn";
  byId("stop").disabled = job.state !== "running";
  byId("progress").value = job.share ?? 0;
  byId("progress-text").textContent = details();
  byId("invitation").hidden = true;
  say(sentence());
  if (job.state === "failed") showError("job-error", job.error);
  if (job.preview > 0 && isNewSheet && job.state !== "failed") showSheet();
  showResult();
}

function showSheet() {
  byId("sheet").hidden = false;
  byId("sheet").src = jobPath(job.id, `/preview?rev=${job.preview}`);
  byId("sheet").alt = `Photos, and below them the stylized photos after ${job.step} steps`;
}

/** Show the link to the style file and the links to use the style, once the job has ended. */
function showResult() {
  const isReady = job.state === "done" || job.state === "stopped";
  const link = byId("download");
  link.setAttribute("aria-disabled", String(!isReady));
  if (isReady) link.href = jobPath(job.id, "/result?download=true");
  else link.removeAttribute("href");
  byId("use").hidden = !job.style;
  for (const [id, page] of Object.entries(PAGES)) {
    byId(id).href = `${page}?style=${encodeURIComponent(job.style ?? "")}`;
  }
}

async function stop() {
  byId("stop").disabled = true;
  say("Stopping after this step…");
  try {
    await postJson(jobPath(job.id, "/stop"));
  } catch (error) {
    showError("job-error", error.message);
  }
}

/** Show the job in the address of the page, as after a reload. */
async function reopen() {
  const id = new URLSearchParams(location.hash.slice(1)).get("job");
  if (!id) return;
  try {
    const found = await getJson(jobPath(id));
    if (found.kind === "learn") begin(found);
  } catch (error) {
    showError("job-error", error.message);
  }
}

byId("start").addEventListener("click", start);
byId("stop").addEventListener("click", stop);
byId("style-name").addEventListener("input", ({ target }) => {
  isNamed = target.value !== "";
});
await Promise.all([startPicker(suggestName, ({ kind }) => kind === "painting"), reopen()]);
