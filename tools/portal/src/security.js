// The client's side of protocomm's Security 1 (X25519, proof of possession, AES-256-CTR on one
// keystream for both directions) and Security 0. A page over plain HTTP has no WebCrypto but random
// numbers; the rest is @noble's.

import { ctr } from "@noble/ciphers/aes.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";

import { concat, equal, utf8 } from "./bytes.js";
import { Refused } from "./http.js";
import { bytes, decode, encode, member } from "./protobuf.js";

const ENDPOINT = "prov-session";
const BLOCK = 16;

/** The board does not know this code, or this board is not the one with that code. */
export class WrongCode extends Error {}

/** Handshake over post(endpoint, body); {crypt} for what follows. Rejects with WrongCode, Refused
 * (no Security 1, or not now) or Unreachable. */
export async function security1(post, code) {
  const secret = crypto.getRandomValues(new Uint8Array(32));
  const mine = x25519.getPublicKey(secret);
  const first = await exchange(post, encode([20, encode([1, mine])]), 21);
  const theirs = bytes(first, 2);
  const iv = bytes(first, 3);
  if (theirs.length !== 32 || iv.length !== BLOCK) throw new Refused("bad answer");
  let key;
  try {
    key = x25519.getSharedSecret(secret, theirs);
  } catch (e) {
    throw new Refused("bad key"); // of low order: no board sends one
  }
  if (code) {
    const mask = sha256(utf8(code));
    key = key.map((byte, i) => byte ^ mask[i]);
  }
  const stream = new Stream(key, iv);
  let second;
  try {
    const proof = encode([2, stream.crypt(theirs)]);
    second = await exchange(post, encode([1, 2], [22, proof]), 23);
  } catch (e) {
    throw e instanceof Refused ? new WrongCode() : e;
  }
  // The board's own proof: without it anyone could have answered.
  if (!equal(stream.crypt(bytes(second, 3)), mine)) throw new WrongCode();
  return stream;
}

/** Nothing is hidden and nothing proven. */
export async function security0(post) {
  await post(ENDPOINT, encode([10, encode([20, new Uint8Array(0)])]));
  return { crypt: (data) => data };
}

async function exchange(post, payload, number) {
  const answer = decode(await post(ENDPOINT, encode([2, 1], [11, payload])));
  const found = member(member(answer, 11) || {}, number);
  if (!found) throw new Refused("unexpected answer");
  return found;
}

/** AES-CTR whose keystream goes on from message to message. */
class Stream {
  constructor(key, iv) {
    this._key = key;
    this._counter = iv.slice(); // of the block that is used next
    this._used = 0; // bytes of it
  }

  crypt(data) {
    const padded = concat(new Uint8Array(this._used), data);
    const out = ctr(this._key, this._counter).encrypt(padded).slice(this._used);
    let carry = Math.floor(padded.length / BLOCK);
    for (let i = BLOCK - 1; i >= 0 && carry; i--) {
      carry += this._counter[i];
      this._counter[i] = carry & 0xff;
      carry >>>= 8;
    }
    this._used = padded.length % BLOCK;
    return out;
  }
}
