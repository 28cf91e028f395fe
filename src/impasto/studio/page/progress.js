/** How far the job is, in a bar and in words, and which of its buttons mean something. */

import { byId, duration, say } from "./messages.js";
import { isActive, state, watch } from "./state.js";

let announced = "";

/** What there is to tell of a job; it is read out, so it changes seldom. */
function sentence(job) {
  switch (job.state) {
    case "queued":
      return job.position > 0
        ? `Queued: ${job.position} before it.`
        : "Queued: it is next.";
    case "running":
      return job.scale ? `Painting at ${job.scale} px.` : "Painting.";
    case "done":
      return `Done: ${job.result.width} × ${job.result.height} px.`;
    case "stopped":
      return "Stopped, and kept. Continue goes on from here.";
    default:
      return "The painting failed.";
  }
}

function details(job) {
  if (job.state === "failed") return "";
  const step = job.step && job.unit === "step" ? `Step ${job.step} of ${job.steps}` : "";
  const left = isActive(job) && job.eta ? `about ${duration(job.eta)} left` : "";
  const took = !isActive(job) && job.seconds ? `took ${duration(job.seconds)}` : "";
  return [step, left, took].filter(Boolean).join(", ");
}

function show() {
  const { job } = state;
  byId("progress").value = !job ? 0 : job.state === "done" ? 1 : job.steps ? job.step / job.steps : 0;
  byId("progress-text").textContent = job ? details(job) : "";
  const text = job ? sentence(job) : "";
  if (text && `${job.id} ${text}` !== announced) say(text);
  announced = text && `${job.id} ${text}`;
  showButtons(job);
}

function showButtons(job) {
  const active = isActive(job);
  const goesOn = Boolean(job?.result) && !active && job.can_continue;
  byId("paint").disabled = active;
  byId("paint").textContent = active ? "Painting…" : "Paint";
  byId("stop").disabled = !active;
  byId("discard").disabled = !job;
  byId("continue").disabled = !goesOn;
  const how = byId("continue-with");
  how.disabled = !goesOn;
  // Only a stopped picture has an end still to go to.
  const finish = how.options[0];
  const wasHidden = finish.hidden;
  finish.hidden = finish.disabled = job?.state !== "stopped";
  if (finish.hidden !== wasHidden) how.value = finish.hidden ? "50" : "finish";
}

/** Show every change of the job. */
export function startProgress() {
  watch(["job"], show);
  show();
}
