/**
 * Live: the camera's or a screen's pictures go to the studio and come back painted, over one
 * WebSocket (docs/rest.md). No more than two are on their way, so that what is shown is never late.
 */

import { byId, clearError, say, showError } from "./messages.js";
import { chosenStyle, startPicker, startSlider } from "./picker.js";

const ON_THEIR_WAY = 2;
const QUALITY = 0.85;
const RECENT = 20;
const SETTLE_MS = 150;
const PAINTING_PX = 1024;
const HIDDEN_MS = 33;

const video = byId("source");
const shown = byId("shown");
const small = document.createElement("canvas");

/** @type {WebSocket | null} */ let socket = null;
/** @type {MediaStream | null} */ let stream = null;
/** @type {MediaRecorder | null} */ let recorder = null;
/** When the pictures that aren't answered yet were taken. */ let sent = [];
/** When the latest were shown, and how late each was. */ let history = [];
/** The method that paints, as the server reports it. */ let method = "";
let turn = 0;
let timer = 0;
/** What is to send the next picture. */ let frame = 0;
let later = 0;

async function open(source) {
  clearError("live-error");
  if (!chosenStyle()) {
    showError("styles-error", "Choose a style first.");
    return;
  }
  if (!navigator.mediaDevices) {
    showError("live-error", "Browsers give pages a camera or screen only over https (impasto studio --https), or on the machine that the studio runs on.");
    return;
  }
  close();
  setWatching(false);
  const mine = ++turn;
  try {
    const found = source === "camera"
      ? await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "user" } })
      : await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: 30 } });
    if (mine !== turn) {
      stopTracks(found);
      return;
    }
    stream = found;
  } catch (error) {
    showError("live-error", refusal(error, source));
    return;
  }
  stream.getVideoTracks()[0].addEventListener("ended", () => leave("The source has ended."));
  video.srcObject = stream;
  await video.play();
  connect();
}

function refusal(error, source) {
  if (error.name === "NotAllowedError") return `The browser doesn't allow the ${source} here.`;
  if (error.name === "NotFoundError") return `There is no ${source}.`;
  return `The ${source} can't be used: ${error.message}`;
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/v1/live`);
  socket.binaryType = "blob";
  sent = [];
  history = [];
  say("Starting…");
  byId("stop").disabled = false;
  const mine = socket;
  socket.addEventListener("open", tellStyle);
  socket.addEventListener("message", ({ data }) => {
    if (mine !== socket) return;
    if (typeof data === "string") hear(JSON.parse(data));
    else show(data);
  });
  socket.addEventListener("close", () => {
    if (mine === socket) leave("The connection is closed.");
  });
}

async function tellStyle() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  const style = chosenStyle();
  let settings = { style: style.name };
  try {
    if (style.file) settings = { painting: await (style.learned ? bytesAsText(style.file) : base64(style.file)) };
  } catch {
    if (!history.length) leave("");
    showError("live-error", `The browser can't read ${style.name}.`);
    return;
  }
  if (style === chosenStyle()) tell({ ...settings, ...numbers() }); // another may be chosen meanwhile
}

/** A painting, small enough for a message. */
async function base64(file) {
  const image = await createImageBitmap(file);
  const canvas = document.createElement("canvas");
  drawScaled(canvas, image, image.width, image.height, PAINTING_PX);
  image.close();
  return canvas.toDataURL("image/png").split(",")[1];
}

/** Encode the bytes of a style file in base64. */
function bytesAsText(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result.split(",")[1]));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });
}

/** With a long side of `most` px at most, and sides that the studio takes. */
function drawScaled(canvas, image, width, height, most) {
  const scale = Math.min(1, most / Math.max(width, height));
  canvas.width = Math.max(32, Math.round(width * scale));
  canvas.height = Math.max(32, Math.round(height * scale));
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
}

function numbers() {
  return {
    strength: Number(byId("strength").value),
    strokes: Number(byId("strokes").value),
    rate: Number(byId("rate").value),
  };
}

function tell(settings) {
  if (socket?.readyState === WebSocket.OPEN && Object.keys(settings).length) {
    socket.send(JSON.stringify(settings));
  }
}

/** Settings that a slider changes, once it rests. */
function tellSoon() {
  clearTimeout(timer);
  timer = setTimeout(() => tell(numbers()), SETTLE_MS);
}

function hear(answer) {
  if (answer.error) {
    if (answer.picture) sent.shift();
    if (answer.error !== "choose a style first") showError("live-error", answer.error);
    return;
  }
  method = answer.method;
  if (history.length === 0) {
    say("Live.");
    byId("record").disabled = false;
    sendSoon();
  }
}

/** In a tab that isn't seen (a game is, that one shares) there are no frames, but there is time. */
function sendSoon() {
  cancelAnimationFrame(frame);
  clearTimeout(later);
  if (document.hidden) later = setTimeout(send, HIDDEN_MS);
  else frame = requestAnimationFrame(send);
}

let sending = false;

/** Send the newest picture, if there is room for one. */
async function send() {
  const mine = socket;
  if (!mine || mine.readyState !== WebSocket.OPEN) return;
  if (!sending && sent.length < ON_THEIR_WAY && video.videoWidth) {
    sending = true;
    const taken = performance.now();
    const blob = await picture();
    sending = false;
    if (mine !== socket || mine.readyState !== WebSocket.OPEN) return;
    sent.push(taken);
    mine.send(blob);
  }
  sendSoon();
}

function picture() {
  drawScaled(small, video, video.videoWidth, video.videoHeight, Number(byId("size").value));
  return new Promise((resolve) => small.toBlob(resolve, "image/jpeg", QUALITY));
}

async function show(blob) {
  const taken = sent.shift();
  const image = await createImageBitmap(blob);
  if (shown.width !== image.width || shown.height !== image.height) {
    shown.width = image.width;
    shown.height = image.height;
  }
  shown.getContext("2d").drawImage(image, 0, 0);
  image.close();
  const now = performance.now();
  history = [...history.slice(1 - RECENT), { now, late: now - taken }];
  const span = (now - history[0].now) / 1000;
  const rate = span > 0 ? (history.length - 1) / span : 0;
  const late = history.reduce((sum, each) => sum + each.late, 0) / history.length;
  byId("figures").textContent = `${rate.toFixed(1)} pictures a second, ${Math.round(late)} ms behind, by the method ${method}`;
  byId("figures").dataset.shown = String(Number(byId("figures").dataset.shown ?? 0) + 1);
}

function stopTracks(media) {
  for (const track of media?.getTracks() ?? []) track.stop();
}

function close() {
  turn += 1;
  if (recorder?.state === "recording") recorder.stop();
  const old = socket;
  socket = null;
  old?.close();
  stopTracks(stream);
  stream = null;
  video.srcObject = null;
  byId("stop").disabled = byId("record").disabled = true;
}

function leave(sentence) {
  close();
  say(sentence);
  byId("figures").textContent = "";
}

/** What MediaRecorder of this browser writes. */
function kind() {
  return ["video/webm;codecs=vp9", "video/webm", "video/mp4"].find((type) => MediaRecorder.isTypeSupported(type));
}

function record() {
  if (recorder?.state === "recording") {
    recorder.stop();
    return;
  }
  const parts = [];
  const type = kind();
  recorder = new MediaRecorder(shown.captureStream(30), { mimeType: type });
  recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
  recorder.addEventListener("stop", () => {
    const link = byId("recording");
    if (link.href) URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(new Blob(parts, { type }));
    link.download = `live.${type.includes("mp4") ? "mp4" : "webm"}`;
    link.setAttribute("aria-disabled", "false");
    byId("record").textContent = "Record";
    byId("record").setAttribute("aria-pressed", "false");
    say("Recorded: it can be downloaded.");
  });
  recorder.start(500);
  byId("record").textContent = "End recording";
  byId("record").setAttribute("aria-pressed", "true");
}

/** Show what `impasto live SOURCE studio` sends here instead. */
function watch() {
  const on = byId("watched").hidden;
  if (on) leave("Watching what impasto live sends here.");
  else say("Choose a style, then a camera or a screen.");
  setWatching(on);
}

function setWatching(on) {
  byId("watched").hidden = !on;
  shown.hidden = on;
  byId("watch").setAttribute("aria-pressed", String(on));
  if (on) byId("watched").src = `/v1/live/shown?${Date.now()}`;
  else byId("watched").removeAttribute("src");
}

byId("watch").addEventListener("click", watch);
byId("camera").addEventListener("click", () => open("camera"));
byId("screen").addEventListener("click", () => open("screen"));
byId("stop").addEventListener("click", () => leave("Stopped."));
byId("record").addEventListener("click", record);
byId("rate").addEventListener("change", ({ target }) => tell({ rate: Number(target.value) }));
startSlider("strength", tellSoon);
startSlider("strokes", tellSoon);
addEventListener("pagehide", close);
document.addEventListener("visibilitychange", sendSoon);
await startPicker(tellStyle);
