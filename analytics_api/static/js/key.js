// The API key: kept in this tab's session storage, and nowhere else. It goes out in headers only, never in an address.

const PLACE = "weir.key";
const SENDABLE = /^[\x21-\x7e]{1,512}$/; // what a header can carry
let kept = null; // for where storage is forbidden: then until the page is left

export function readKey() {
  try {
    return sessionStorage.getItem(PLACE) ?? kept;
  } catch {
    return kept;
  }
}

export function keepKey(key) {
  kept = key;
  try {
    sessionStorage.setItem(PLACE, key);
  } catch (error) {
    console.info("The key is kept until this page is left:", error.name);
  }
}

export function forgetKey() {
  kept = null;
  try {
    sessionStorage.removeItem(PLACE);
  } catch (error) {
    console.info("There was no stored key to forget:", error.name);
  }
}

/** What is wrong with a key before it is tried, in a sentence; empty when it may be one. */
export function faultOf(key) {
  if (key === "") return "Enter an API key.";
  if (!SENDABLE.test(key)) return "That is no key: it holds characters that no key has.";
  return "";
}
