/** How large the picture will be, how long it takes and how much memory. */

import { debounced, postJson } from "./api.js";
import { byId, clearError, duration, showError } from "./messages.js";
import { currentRecipe } from "./recipe.js";
import { FORM, state, watch } from "./state.js";

let request = new AbortController();

async function estimate() {
  request.abort();
  request = new AbortController();
  if (!state.photo) return;
  const { width, height } = state.photo;
  try {
    const body = { recipe: currentRecipe(), width, height };
    const answer = await postJson("/v1/estimate", body, request.signal);
    byId("estimate").textContent =
      `${answer.width} × ${answer.height} px, about ${duration(answer.seconds)}, ${memory(answer.memory_mb)}`;
    clearError("settings-error");
  } catch (error) {
    if (error.name === "AbortError") return;
    byId("estimate").textContent = "No estimate for these settings.";
    showError("settings-error", error.message);
  }
}

function memory(mb) {
  return mb < 1000 ? `${Math.round(mb)} MB` : `${(mb / 1000).toFixed(1)} GB`;
}

/** Estimate anew after every change. */
export function startEstimate() {
  watch(FORM, debounced(250, estimate));
}
