/** A job followed by its events, for the pages that show one job. */

import { jobPath } from "./api.js";
import { say } from "./messages.js";

/**
 * Call `onNews` with what has changed of a job, until it ends.
 * @param {string} id @param {(news: object) => void} onNews @param {() => boolean} isActive
 * @returns {EventSource} to be closed for another job
 */
export function follow(id, onNews, isActive) {
  const source = new EventSource(jobPath(id, "/events"));
  source.addEventListener("progress", ({ data }) => onNews({ state: "running", ...JSON.parse(data) }));
  source.addEventListener("queued", ({ data }) => onNews(JSON.parse(data)));
  for (const end of ["done", "stopped", "failed"]) {
    source.addEventListener(end, ({ data }) => {
      source.close();
      onNews(JSON.parse(data));
    });
  }
  source.addEventListener("error", () => {
    if (isActive()) say("Connection lost, trying again…");
    else source.close();
  });
  return source;
}
