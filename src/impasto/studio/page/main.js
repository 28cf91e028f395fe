/** The studio's page: wires its parts, then asks the server for what they show. */

import { getJson } from "./api.js";
import { startBrush } from "./brush.js";
import { startDownload } from "./download.js";
import { startEstimate } from "./estimate.js";
import { startIncoming } from "./incoming.js";
import { jobInAddress, openJob, startJob } from "./job.js";
import { byId, showError } from "./messages.js";
import { startPhoto } from "./photo.js";
import { styleInAddress } from "./picker.js";
import { startPreview } from "./preview.js";
import { startProgress } from "./progress.js";
import { startSettings } from "./settings.js";
import { startStage } from "./stage.js";
import { set, state } from "./state.js";
import { choose, loadStyles, startStyles } from "./styles.js";
import { startView } from "./view.js";

async function loadSettings() {
  try {
    const [{ presets }, schema] = await Promise.all([getJson("/v1/presets"), getJson("/v1/recipe-schema")]);
    set({ presets, schema: schema.properties, methods: schema.methods }, false);
  } catch (error) {
    showError("settings-error", error.message);
  }
}

async function showHealth() {
  const { version, device } = await getJson("/v1/health");
  byId("health").textContent = `${version} on ${device}`;
}

for (const start of [
  startView, startStage, startPhoto, startStyles, startSettings, startBrush, startEstimate,
  startPreview, startJob, startProgress, startDownload, startIncoming,
]) {
  start();
}

const ready = Promise.all([loadSettings(), loadStyles()]);

byId("advanced").addEventListener("toggle", async () => {
  const [{ showAdvanced }] = await Promise.all([import("./advanced.js"), ready]);
  showAdvanced();
}, { once: true });

await ready;
const id = jobInAddress();
const wanted = state.styles.find(({ name }) => name === styleInAddress());
if (id) await openJob(id);
else if (wanted) choose(wanted.name);
const { startHistory } = await import("./history.js");
await Promise.allSettled([startHistory(), showHealth()]);
