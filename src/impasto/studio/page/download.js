/** The picture as a file, and its recipe as text. */

import { jobPath } from "./api.js";
import { byId, say } from "./messages.js";
import { currentRecipe } from "./recipe.js";
import { state, watch } from "./state.js";

function show() {
  const link = byId("download");
  const ready = Boolean(state.job?.result);
  link.setAttribute("aria-disabled", String(!ready));
  if (!ready) {
    link.removeAttribute("href");
    return;
  }
  const query = new URLSearchParams({ format: byId("download-format").value, download: "true" });
  if (!byId("with-recipe").checked) query.set("metadata", "false");
  link.href = jobPath(state.job.id, `/result?${query}`);
}

async function copyRecipe() {
  const text = JSON.stringify(state.job?.recipe ?? currentRecipe(), null, 2);
  // Over plain http from another machine browsers have no navigator.clipboard.
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else copyByHand(text);
  say("The recipe is copied.");
}

function copyByHand(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  byId("copy-recipe").focus();
}

/** Wire the link, its options, and the copy. */
export function startDownload() {
  byId("download-format").addEventListener("change", show);
  byId("with-recipe").addEventListener("change", show);
  byId("copy-recipe").addEventListener("click", () => {
    copyRecipe().catch(() => say("The browser doesn't allow copying here."));
  });
  watch(["job"], show);
}
