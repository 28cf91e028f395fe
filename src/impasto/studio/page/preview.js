/** The instant preview: what the quick method makes of the form, a moment after each change. */

import { debounced, pictureForm, postForm } from "./api.js";
import { byId, clearError, say, showPictureError } from "./messages.js";
import { previewRecipe } from "./recipe.js";
import { showPhoto, showPicture } from "./stage.js";
import { chosenStyles, FORM, isActive, set, state, watch } from "./state.js";

let request = new AbortController();
let shown = "";

async function preview() {
  request.abort();
  if (!state.photo || state.job) return;
  const { small, name } = state.photo;
  const styles = chosenStyles();
  if (!styles.length) {
    showPhoto();
    return;
  }
  request = new AbortController();
  const { signal } = request;
  byId("stage").setAttribute("aria-busy", "true");
  try {
    const form = pictureForm({ content: small, name, styles, mask: state.mask, recipe: previewRecipe() });
    const picture = await (await postForm("/v1/stylize?format=jpeg", form, signal)).blob();
    if (signal.aborted) return;
    const url = URL.createObjectURL(picture);
    if (await showPicture(url, "preview", "Instant preview of the picture")) {
      say("A quick preview. Press Paint for the picture itself.");
    }
    URL.revokeObjectURL(shown);
    shown = url;
    clearError("job-error");
  } catch (error) {
    showPictureError(error);
  } finally {
    if (!signal.aborted) byId("stage").removeAttribute("aria-busy");
  }
}

/** Ask for a preview once the person's hand has rested. */
export const requestPreview = debounced(250, preview);

/** Preview every change, but for one during a job: its picture stays until it is done. */
export function startPreview() {
  watch(FORM, (byUser) => {
    if (!byUser || isActive()) return;
    if (state.job) set({ job: null });
    requestPreview();
  });
  watch(["job"], () => {
    if (!state.job) return;
    request.abort();
    byId("stage").removeAttribute("aria-busy");
  });
}
