// Bytes and text. An SSID is bytes, mostly UTF-8; what is not survives all the same.

export const utf8 = (text) => new TextEncoder().encode(text);

export function concat(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export function equal(a, b) {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a[i] ^ b[i];
  return difference === 0;
}

/** An SSID for people: as text, with bytes that are no text as \xNN, and nothing that is invisible
 * or turns the line around. */
export function readable(ssid) {
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(ssid);
  } catch (e) {
    text = Array.from(ssid, (byte) =>
      byte > 0x1f && byte < 0x7f ? String.fromCharCode(byte) : hex(byte)
    ).join("");
  }
  const hidden = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
  return text.replace(hidden, (letter) => Array.from(utf8(letter), hex).join(""));
}

const hex = (byte) => "\\x" + (byte < 16 ? "0" : "") + byte.toString(16);
