// Asks for the token of a server that wants one, until the server takes it; the browser keeps it then.

import { ask } from "./api.js";
import { $ } from "./dom.js";

let entering = null;

/** Resolves when the server lets the page in. @param say shows why it does not. */
export function enter(say) {
  entering ??= new Promise((entered) => {
    $("enter").hidden = false;
    $("token").focus();
    $("enter").onsubmit = async (event) => {
      event.preventDefault();
      try {
        await ask("api/session", { method: "POST", body: { token: $("token").value.trim() } });
      } catch (error) {
        return say(error.message, true);
      }
      say("");
      $("token").value = "";
      $("enter").hidden = true;
      entering = null;
      entered();
    };
  });
  return entering;
}
