/** The brush: paints a mask over the photo, white where the style shall go. */

import { byId } from "./messages.js";
import { set, state, watch } from "./state.js";

const LONG_SIDE = 1024;
const COLOR = "#e0552b";

const canvas = byId("mask");
const pen = canvas.getContext("2d", { willReadFrequently: true });
let erasing = false;
let last = null;

/** The mask as a PNG, white on black; null where nothing is painted. */
async function asMask() {
  const { width, height } = canvas;
  const alpha = pen.getImageData(0, 0, width, height).data;
  if (!alpha.some((value, index) => index % 4 === 3 && value > 0)) return null;
  const flat = document.createElement("canvas");
  flat.width = width;
  flat.height = height;
  const ink = flat.getContext("2d");
  ink.drawImage(canvas, 0, 0);
  ink.globalCompositeOperation = "source-in";
  ink.fillStyle = "white";
  ink.fillRect(0, 0, width, height);
  ink.globalCompositeOperation = "destination-over";
  ink.fillStyle = "black";
  ink.fillRect(0, 0, width, height);
  return new Promise((resolve) => flat.toBlob(resolve, "image/png"));
}

/** Paint a mask that was stored with a job. @param {Blob} blob */
export async function drawMask(blob) {
  const bitmap = await createImageBitmap(blob);
  clear();
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const image = pen.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < image.data.length; at += 4) {
    image.data.set([224, 85, 43, image.data[at]], at); // COLOR, as opaque as the mask is white
  }
  pen.putImageData(image, 0, 0);
}

function clear() {
  pen.clearRect(0, 0, canvas.width, canvas.height);
}

function fitToPhoto() {
  if (!state.photo) return;
  const scale = LONG_SIDE / Math.max(state.photo.width, state.photo.height);
  canvas.width = Math.max(1, Math.round(state.photo.width * scale));
  canvas.height = Math.max(1, Math.round(state.photo.height * scale));
}

function at(event) {
  const box = canvas.getBoundingClientRect();
  const scale = canvas.width / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
}

function stroke(event) {
  const point = at(event);
  pen.globalCompositeOperation = erasing ? "destination-out" : "source-over";
  pen.strokeStyle = COLOR;
  pen.lineCap = "round";
  pen.lineWidth = (Number(byId("brush-size").value) / 100) * LONG_SIDE;
  pen.beginPath();
  pen.moveTo(...(last ?? point));
  pen.lineTo(...point);
  pen.stroke();
  pen.globalCompositeOperation = "source-over";
  last = point;
}

function setBrush(on) {
  byId("brush").setAttribute("aria-pressed", String(on));
  byId("brush-tools").hidden = !on;
  canvas.classList.toggle("painting", on);
  canvas.hidden = !on;
}

/** Wire the brush's buttons and strokes. */
export function startBrush() {
  const isOn = () => byId("brush").getAttribute("aria-pressed") === "true";
  byId("brush").addEventListener("click", () => setBrush(!isOn()));
  byId("brush-erase").addEventListener("click", ({ currentTarget }) => {
    erasing = !erasing;
    currentTarget.setAttribute("aria-pressed", String(erasing));
  });
  byId("brush-clear").addEventListener("click", () => {
    clear();
    set({ mask: null });
  });
  canvas.addEventListener("pointerdown", (event) => {
    event.stopPropagation(); // the view would pan
    canvas.setPointerCapture(event.pointerId);
    last = null;
    stroke(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (last) stroke(event);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, async () => {
      last = null;
      set({ mask: await asMask() });
    });
  }
  watch(["job"], () => {
    if (state.job) setBrush(false); // nothing over the picture while it is painted
  });
  watch(["photo"], () => {
    byId("brush").disabled = !state.photo;
    setBrush(false);
    fitToPhoto();
  });
}
