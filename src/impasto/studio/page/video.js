/** A film, sent to be painted; frames appear as they are done, then the film can be played. */

import { getJson, jobPath, postForm, postJson } from "./api.js";
import { follow } from "./follow.js";
import { byId, clearError, duration, say, showError } from "./messages.js";
import { chosenStyle, startPicker, startSlider } from "./picker.js";

/** @type {File | null} */ let film = null;
/** @type {object | null} */ let job = null;
/** @type {EventSource | null} */ let events = null;

function settings() {
  const found = {
    stability: Number(byId("stability").value),
    strength: Number(byId("strength").value),
    style_scale: Number(byId("strokes").value),
  };
  for (const id of ["size", "start", "end"]) {
    if (byId(id).value !== "") found[id] = Number(byId(id).value);
  }
  return found;
}

async function paint() {
  for (const id of ["film-error", "styles-error", "job-error"]) clearError(id);
  const style = chosenStyle();
  if (!film) showError("film-error", "Choose a film first.");
  if (!style) showError("styles-error", "Choose a style first.");
  if (!film || !style) return;
  const form = new FormData();
  form.append("film", film, film.name);
  if (style.file) form.append("styles", style.file, style.name);
  else form.append("styles", style.name);
  form.append("settings", JSON.stringify(settings()));
  byId("paint").disabled = true;
  say("Sending the film…");
  try {
    begin(await (await postForm("/v1/films", form)).json());
  } catch (error) {
    byId("paint").disabled = false;
    say("Not begun.");
    showError(error.status === 422 ? "job-error" : "film-error", error.message);
  }
}

function begin(made) {
  job = made;
  history.replaceState(null, "", `#job=${job.id}`);
  show();
  events?.close();
  events = follow(job.id, update, isActive);
}

function isActive() {
  return job?.state === "queued" || job?.state === "running";
}

function update(news) {
  const before = job.preview;
  job = { ...job, ...news };
  show(job.preview !== before);
}

function show(newPicture = true) {
  const active = isActive();
  byId("paint").disabled = active;
  byId("paint").textContent = active ? "Painting…" : "Paint";
  byId("stop").disabled = job.state !== "running";
  byId("progress").value = job.state === "done" ? 1 : job.steps ? job.step / job.steps : 0;
  byId("invitation").hidden = true;
  const left = active && job.eta ? `, about ${duration(job.eta)} left` : "";
  const speed = job.seconds && job.step ? `, ${(job.step / job.seconds).toFixed(1)} a second` : "";
  byId("progress-text").textContent = job.step
    ? `Frame ${job.step} of ${job.steps}${speed}${left}, by the method ${job.method}`
    : "";
  const words = {
    queued: "Queued.",
    running: "Painting.",
    done: ["Done.", ...(job.notes ?? [])].join(" "),
    stopped: "Stopped, and kept.",
    failed: "The painting failed.",
  };
  say(words[job.state]);
  if (job.state === "failed") showError("job-error", job.error);
  showDownload();
  if (job.result) showFilm();
  else if (job.preview > 0 && newPicture) showFrame();
}

function showFrame() {
  byId("film").hidden = true;
  byId("frame").hidden = false;
  byId("frame").src = jobPath(job.id, `/preview?rev=${job.preview}`);
  byId("frame").alt = `Frame ${job.step}, painted`;
}

function showFilm() {
  byId("frame").hidden = true;
  byId("film").hidden = false;
  byId("film").src = jobPath(job.id, "/result");
}

function showDownload() {
  const link = byId("download");
  link.setAttribute("aria-disabled", String(!job.result));
  if (job.result) link.href = jobPath(job.id, "/result?download=true");
  else link.removeAttribute("href");
}

async function stop() {
  byId("stop").disabled = true;
  try {
    await postJson(jobPath(job.id, "/stop"));
  } catch (error) {
    showError("job-error", error.message);
  }
}

/** The job that the address names: after a reload it goes on. */
async function reopen() {
  const id = new URLSearchParams(location.hash.slice(1)).get("job");
  if (!id) return;
  try {
    const found = await getJson(jobPath(id));
    if (found.kind === "film") begin(found);
  } catch (error) {
    showError("job-error", error.message);
  }
}

byId("film-input").addEventListener("change", ({ target }) => {
  film = target.files[0] ?? null;
  clearError("film-error");
  byId("film-name").textContent = film ? film.name : "Its sound stays as it is.";
  if (film) say("Choose a style, and press Paint.");
});
byId("paint").addEventListener("click", paint);
byId("stop").addEventListener("click", stop);
for (const id of ["stability", "strength", "strokes"]) startSlider(id);
await Promise.all([startPicker(() => {}), reopen()]);
