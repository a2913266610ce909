// What a new installation shows in place of zeros: how to post a first event.

import { byId, setText } from "./dom.js";

/** Fill in the curl line: the public address, else the gateway on the host that this page came from. */
export function installWelcome() {
  const { gatewayPort, publicUrl } = document.documentElement.dataset;
  const gateway = publicUrl || `${location.protocol}//${location.hostname}:${gatewayPort}`;
  const command = [
    `curl -X POST ${gateway}/api/v1/events/ingest \\`,
    `  -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \\`,
    `  -d '{"event_id": "first-1", "event_type": "hello.world", "payload": {"n": 1}}'`,
  ].join("\n");
  setText(byId("first-curl"), command);
  const button = byId("copy-curl");
  button.addEventListener("click", async () => {
    setText(button, await copied(command) ? "Copied" : "Select it");
    setTimeout(() => setText(button, "Copy"), 2000);
  });
}

export function showWelcome(isShown) {
  byId("welcome").hidden = !isShown;
}

/** Whether it worked: only pages of a safe origin may write to the clipboard. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(byId("first-curl"));
    return false;
  }
}
