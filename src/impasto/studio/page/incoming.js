/** Whatever is dropped or pasted: a photo, a painting, or a picture whose settings come back. */

import { postForm } from "./api.js";
import { byId, clearError, say, showError } from "./messages.js";
import { isStyleFile } from "./own-style.js";
import { usePhoto } from "./photo.js";
import { fromRecipe } from "./recipe.js";
import { set, state } from "./state.js";
import { useStyles } from "./styles.js";

/** Put back the settings a picture was made with. @returns {Promise<boolean>} whether it says */
async function useRecipeOf(file) {
  const form = new FormData();
  form.append("picture", file, file.name || "picture.png");
  try {
    const made = await (await postForm("/v1/recipe", form)).json();
    putBack(made);
    say(`The settings of ${file.name} are back.${missing(made)}`);
    return true;
  } catch (error) {
    if (error.status === 0 || error.status === 401) {
      showError("settings-error", error.message);
      return true;
    }
    return false; // it holds no recipe
  }
}

function putBack({ recipe, styles }) {
  const patch = fromRecipe(recipe);
  if (styles?.length && styles.every(isKnown)) {
    patch.chosen = styles.map(({ name, weight = 1 }) => ({ name, weight }));
  }
  set(patch);
}

function isKnown({ name }) {
  return state.styles.some((style) => style.name === name);
}

/** Its photo isn't inside, and neither are paintings of one's own. */
function missing({ content, styles = [] }) {
  const names = styles.filter((style) => !isKnown(style)).map(({ name }) => name);
  if (!state.photo && content?.name) names.unshift(content.name);
  return names.length ? ` Add ${names.filter(Boolean).join(" and ")} to make it again.` : "";
}

/** Take files in. @param {File[]} files @param {boolean} asStyles they came to the styles */
async function receive(files, asStyles) {
  const styleFiles = files.filter(isStyleFile);
  if (styleFiles.length) await useStyles(styleFiles);
  const images = files.filter(({ type }) => type.startsWith("image/"));
  if (!files.length || (styleFiles.length && !images.length)) return;
  if (!images.length) {
    const text = `${files[0].name} isn't an image.`;
    showError(asStyles ? "styles-error" : "photo-error", text);
    return;
  }
  if (images[0].type === "image/png" && (await useRecipeOf(images[0]))) return;
  if (asStyles) await useStyles(images);
  else await usePhoto(images[0]);
}

/** Is it over the lower part of the left column, where paintings are? */
function isOverStyles({ target }) {
  return target instanceof Element && target.closest("#gallery, #chosen, #styles-error") !== null;
}

function mark(event) {
  event.preventDefault();
  document.body.classList.add("dropping");
}

function unmark() {
  document.body.classList.remove("dropping");
}

/** Wire drop, paste, and the button for those who can do neither. */
export function startIncoming() {
  addEventListener("dragover", mark);
  addEventListener("dragleave", ({ relatedTarget }) => {
    if (!relatedTarget) unmark();
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    unmark();
    receive([...event.dataTransfer.files], isOverStyles(event));
  });
  addEventListener("paste", (event) => receive([...event.clipboardData.files], isOverStyles(event)));
  byId("recipe-input").addEventListener("change", async ({ target }) => {
    clearError("settings-error");
    const [file] = target.files;
    if (file && !(await useRecipeOf(file))) {
      showError("settings-error", `${file.name} holds no recipe: it wasn't made by impasto, or not with one.`);
    }
    target.value = "";
  });
}
