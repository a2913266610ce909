// The form that asks for a key.

import { ask } from "./api.js";
import { byId, setText } from "./dom.js";
import { faultOf, forgetKey, keepKey } from "./key.js";

const field = byId("key");
const button = byId("key-submit");

/** `enter()` is called once a key is good. */
export function installSignIn(enter) {
  byId("key-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const fault = await tryKey(field.value.trim());
    if (fault) return showSignIn(fault);
    field.value = "";
    enter();
  });
  field.addEventListener("input", () => say(""));
}

/** Show the form, with what is wrong, and put the cursor in it. */
export function showSignIn(trouble = "") {
  byId("sign-in").hidden = false;
  say(trouble);
  field.focus();
  field.select();
}

export function hideSignIn() {
  byId("sign-in").hidden = true;
  say("");
}

function say(trouble) {
  setText(byId("key-trouble"), trouble);
  field.setAttribute("aria-invalid", String(trouble !== ""));
}

/** Keep the key if the API takes it; else what is wrong with it. */
async function tryKey(key) {
  const fault = faultOf(key);
  if (fault) return fault;
  button.disabled = true;
  keepKey(key);
  try {
    await ask("analytics/queue-status");
    return "";
  } catch (error) {
    forgetKey();
    return error.isRefusal ? `${error.message} Try another.` : error.message;
  } finally {
    button.disabled = false;
  }
}
