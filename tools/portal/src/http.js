// One request to the board. The cookie that keeps the session is the browser's business.

/** The board was reached and said no. */
export class Refused extends Error {}

/** The board was not reached, or its answer was not. */
export class Unreachable extends Error {}

const TIMEOUT_MS = 15000;

/** POST bytes to an endpoint; the answer's bytes. Rejects with Refused or Unreachable. */
export function post(endpoint, body) {
  return new Promise((resolve, reject) => {
    // Not fetch(): it has no time limit in browsers of the age meant here.
    const request = new XMLHttpRequest();
    request.open("POST", "/" + endpoint);
    request.responseType = "arraybuffer";
    request.timeout = TIMEOUT_MS;
    // Tells this page from an app, and makes the board say no in words rather than hang up.
    request.setRequestHeader("Homing-Page", "1");
    request.onload = () => {
      if (request.status === 200) resolve(new Uint8Array(request.response));
      else reject(new Refused(endpoint));
    };
    request.onerror = request.ontimeout = request.onabort = () => reject(new Unreachable(endpoint));
    request.send(body);
  });
}
