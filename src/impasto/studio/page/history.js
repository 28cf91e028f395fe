/** The filmstrip of past pictures: open, compare, delete. */

import { debounced, getJson, jobPath, remove } from "./api.js";
import { openJob, resultUrl } from "./job.js";
import { byId, clearError, confirmed, element, say, showError } from "./messages.js";
import { showPicture, wipeTo } from "./stage.js";
import { isActive, set, state, watch } from "./state.js";

const THUMBNAIL = 256;
const POLL_MS = 10000;

let jobs = [];
let compared = [];

function thumbnail(job) {
  if (job.result) return resultUrl(job, THUMBNAIL);
  return job.preview > 0 ? jobPath(job.id, `/preview?rev=${job.preview}`) : null;
}

function item(job) {
  const url = thumbnail(job);
  const image = url
    ? element("img", { src: url, alt: "", width: "96", height: "72", loading: "lazy" })
    : element("span", { class: "no-picture" }, job.state);
  const open = element("button", { type: "button", class: "open" }, image, element("span", {}, job.name));
  open.addEventListener("click", () => openJob(job.id));
  if (job.id === state.job?.id) open.setAttribute("aria-current", "true");
  const made = element("li", { "data-job": job.id }, open);
  const tools = element("div", { class: "row" }, comparison(job), deletion(job));
  made.append(tools);
  return made;
}

function comparison(job) {
  const box = element("input", { type: "checkbox", "aria-label": `Compare ${job.name}` });
  box.checked = compared.includes(job.id);
  box.disabled = !job.result;
  box.addEventListener("change", () => compare(job.id, box.checked));
  return element("label", { class: "inline" }, box, "Compare");
}

function deletion(job) {
  const label = `Delete ${job.name}`;
  const button = element("button", { type: "button", class: "quiet", "aria-label": label }, "×");
  button.addEventListener("click", async () => {
    if (!(await confirmed(`Delete ${job.name}? It can't be brought back.`, "Delete"))) return;
    try {
      await remove(jobPath(job.id));
      if (state.job?.id === job.id) set({ job: null });
      await refresh();
      say(`${job.name} is deleted.`);
    } catch (error) {
      showError("history-error", error.message);
    }
  });
  return button;
}

/** Of three that are to be compared, the first gives way. */
function compare(id, on) {
  compared = [...compared.filter((other) => other !== id), ...(on ? [id] : [])].slice(-2);
  show();
  if (compared.length < 2) return;
  const [one, other] = compared.map((each) => jobs.find((job) => job.id === each));
  set({ job: null });
  const before = { url: resultUrl(one, 2048), alt: one.name };
  showPicture(resultUrl(other, 2048), "done", other.name, before);
  wipeTo(50);
  byId("wipe").focus();
  say(`Left ${one.name}, right ${other.name}. Move the slider over the picture.`);
}

function show() {
  const focused = document.activeElement?.closest("#history li")?.dataset.job;
  const list = byId("history");
  list.replaceChildren(...jobs.map(item));
  if (focused) list.querySelector(`[data-job="${CSS.escape(focused)}"] button`)?.focus();
  byId("history-hint").textContent = jobs.length
    ? "Open one with all its settings, or tick two to compare them."
    : "They gather here once you have painted.";
}

async function refresh() {
  try {
    jobs = (await getJson("/v1/jobs")).jobs.filter(({ kind }) => kind === "picture");
    compared = compared.filter((id) => jobs.some((job) => job.id === id && job.result));
    clearError("history-error");
    show();
  } catch (error) {
    showError("history-error", error.message);
  }
}

/** Show the past pictures, and keep them up to date. */
export function startHistory() {
  let known = "";
  const soon = debounced(200, refresh);
  watch(["job"], () => {
    const now = state.job ? `${state.job.id} ${state.job.state}` : "";
    if (state.job) compared = []; // one picture is on the stage again
    if (now !== known) soon();
    known = now;
  });
  setInterval(() => {
    if (!document.hidden && jobs.some(isActive)) refresh();
  }, POLL_MS);
  return refresh();
}
