/** Subscription to the events of a job, for the pages that show one job. */

import { jobPath } from "./api.js";
import { say } from "./messages.js";

/**
 * Call `onUpdate` with the changed fields of a job, until it ends.
 * @param {string} id @param {(changes: object) => void} onUpdate @param {() => boolean} isActive
 * @returns {EventSource} which the caller closes before it follows another job
 */
export function follow(id, onUpdate, isActive) {
  const source = new EventSource(jobPath(id, "/events"));
  source.addEventListener("progress", ({ data }) => onUpdate({ state: "running", ...JSON.parse(data) }));
  source.addEventListener("queued", ({ data }) => onUpdate(JSON.parse(data)));
  for (const end of ["done", "stopped", "failed"]) {
    source.addEventListener(end, ({ data }) => {
      source.close();
      onUpdate(JSON.parse(data));
    });
  }
  source.addEventListener("error", () => {
    if (isActive()) say("Connection lost, trying again…");
    else source.close();
  });
  return source;
}
