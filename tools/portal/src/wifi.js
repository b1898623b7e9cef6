// Networks, credentials and how the join went: prov-scan and prov-config.

import { Refused } from "./http.js";
import { bytes, decode, encode, int, member } from "./protobuf.js";
import { sleep } from "./device.js";

const PAGE = 4;
const SCAN_POLL_MS = 500;
const NOTHING = new Uint8Array(0);

export const OPEN = 0;
export const WEP = 1;
export const ENTERPRISE = 5;
export const MAX_SSID_LEN = 32;
export const MIN_PASSPHRASE_LEN = 8;
export const MAX_PASSPHRASE_LEN = 63;

// WifiStationState and WifiConnectFailedReason.
const CONNECTED = 0;
const FAILED = 3;
const NOT_FOUND = 1;

/** The networks in reach, strongest first: {ssid (bytes), rssi (dBm), auth}; null while the board
 * is joining one and cannot look. */
export async function networks(device) {
  const start = decode(
    await device.ask("prov-scan", encode([10, encode([1, 1], [4, 120])]))
  );
  if (int(start, 2)) return null;
  let status;
  for (;;) {
    status = member(decode(await device.ask("prov-scan", encode([1, 2], [12, NOTHING]))), 13) || {};
    if (int(status, 1)) break;
    await sleep(SCAN_POLL_MS);
  }
  const count = int(status, 2);
  const found = [];
  while (found.length < count) {
    const wanted = encode([1, found.length], [2, Math.min(PAGE, count - found.length)]);
    const page = member(decode(await device.ask("prov-scan", encode([1, 4], [14, wanted]))), 15);
    const entries = (page && page[1]) || [];
    if (!entries.length) break;
    for (const entry of entries) {
      const network = decode(entry);
      found.push({ ssid: bytes(network, 1), rssi: int(network, 3), auth: int(network, 5) });
    }
  }
  return found.filter((network) => network.ssid.length);
}

/** Have the board join. Rejects with Refused if it does not take the credentials. */
export async function join(device, ssid, passphrase) {
  const credentials = encode([1, ssid], [2, passphrase]);
  const set = decode(await device.ask("prov-config", encode([1, 2], [12, credentials])));
  if (int(member(set, 13) || {}, 1)) throw new Refused("credentials");
  // Status 5: it is joining already, because an answer was lost and the request repeated.
  await device.ask("prov-config", encode([1, 4], [14, NOTHING]));
}

/** {kind: "connected", ip, ssid} | {kind: "wrong-password"} | {kind: "not-found"} |
 * {kind: "joining", remaining (attempts, or null)} */
export async function state(device) {
  const found = member(decode(await device.ask("prov-config", encode([10, NOTHING]))), 11);
  const connected = found && member(found, 11);
  // State 0 is "connected", and what is missing reads as 0: only believed with its address.
  if (connected && int(found, 2) === CONNECTED) {
    const ip = String.fromCharCode(...bytes(connected, 1));
    return { kind: "connected", ip, ssid: bytes(connected, 3) };
  }
  if (found && int(found, 2) === FAILED) {
    return { kind: int(found, 10) === NOT_FOUND ? "not-found" : "wrong-password" };
  }
  const failed = found && member(found, 12);
  return { kind: "joining", remaining: failed ? int(failed, 1) : null };
}
