// The board as the page sees it: reached in spite of a phone that leaves its network for a while,
// one request at a time.

import { utf8 } from "./bytes.js";
import { Refused, Unreachable, post } from "./http.js";
import { WrongCode, security0, security1 } from "./security.js";

const RETRY_MS = 1000;
const REFUSALS = 3;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Device {
  /** onReach(true or false): the last request got through, or did not and is repeated. */
  constructor(onReach) {
    this._onReach = onReach;
    this._secure = null; // makes a session
    this._session = null;
  }

  /** {scheme: 0, 1 or 2, needsCode, canScan} as the board says it. */
  async version() {
    const text = new TextDecoder().decode(await this._persist(() => post("proto-ver", utf8("page"))));
    const prov = JSON.parse(text).prov || {};
    const cap = prov.cap || [];
    const plain = cap.indexOf("no_sec") >= 0;
    return {
      scheme: plain ? 0 : prov.sec_ver === undefined ? 1 : prov.sec_ver,
      needsCode: !plain && cap.indexOf("no_pop") < 0,
      canScan: cap.indexOf("wifi_scan") >= 0,
    };
  }

  /** Open a session. Rejects with WrongCode or Refused. */
  async open(scheme, code) {
    this._secure = () => (scheme === 0 ? security0(post) : security1(post, code));
    this._session = await this._persist(this._secure);
  }

  /** Ask an endpoint; the request must be one that may be repeated. Rejects with Refused. */
  ask(endpoint, request) {
    let refusals = 0;
    return this._persist(async () => {
      try {
        // Made anew after every failure: then both sides no longer agree on the keystream.
        const session = this._session || (await this._secure());
        this._session = null;
        const answer = session.crypt(await post(endpoint, session.crypt(request)));
        this._session = session;
        return answer;
      } catch (e) {
        // A refusal may be due to the session alone: another client had one meanwhile, or the
        // browser has repeated a request by itself, which fails for the one that came before.
        const refused = e instanceof Refused || e instanceof WrongCode;
        throw refused && refusals++ < REFUSALS ? new Unreachable(endpoint) : e;
      }
    });
  }

  async _persist(attempt) {
    for (;;) {
      try {
        const result = await attempt();
        this._onReach(true);
        return result;
      } catch (e) {
        if (!(e instanceof Unreachable)) {
          this._onReach(true);
          throw e;
        }
        this._onReach(false);
      }
      await sleep(RETRY_MS);
    }
  }
}
