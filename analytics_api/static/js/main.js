// The page: who is signed in, and what the buttons do.

import { installClients, installRanges } from "./choices.js";
import { byId, setText } from "./dom.js";
import { forgetKey, readKey } from "./key.js";
import { onAuditFilter } from "./panels/audit.js";
import { Session } from "./session.js";
import { hideSignIn, installSignIn, showSignIn } from "./sign_in.js";
import { installStatus, showSignedOut } from "./status.js";
import { installTheme } from "./theme.js";
import { installWelcome } from "./welcome.js";

const session = new Session(leave);

function enter() {
  hideSignIn();
  byId("numbers").hidden = byId("sign-out").hidden = false;
  byId("main").focus({ preventScroll: true });
  session.start();
}

function leave(reason) {
  forgetKey();
  session.stop();
  byId("numbers").hidden = byId("sign-out").hidden = true;
  showSignedOut();
  showSignIn(reason);
}

installRanges((range) => session.chooseRange(range));
installTheme(byId("theme"), () => session.repaint());
installStatus(() => session.tryNow());
installClients((clientId) => session.chooseClient(clientId));
onAuditFilter(() => session.chooseCalls());
installWelcome();
installSignIn(enter);
byId("sign-out").addEventListener("click", () => leave(""));
setText(byId("zone"), Intl.DateTimeFormat().resolvedOptions().timeZone ?? "local");
if (readKey() === null) showSignIn();
else enter();
