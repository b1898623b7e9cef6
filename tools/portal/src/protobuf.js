// As much of proto3's wire format as protocomm's messages take: varints and what has a length.

import { concat } from "./bytes.js";

const VARINT = 0;
const LEN = 2;

function varint(value) {
  const out = [];
  for (; value > 0x7f; value = Math.floor(value / 128)) out.push((value % 128) | 0x80);
  out.push(value);
  return Uint8Array.from(out);
}

/** Fields as [number, value]: a number of 0 or more, or bytes (of a message: encoded). Numbers that
 * are 0 are left out, as proto3 wants it. */
export function encode(...fields) {
  const parts = [];
  for (const [number, value] of fields) {
    if (typeof value !== "number") {
      parts.push(varint((number << 3) | LEN), varint(value.length), value);
    } else if (value) {
      parts.push(varint((number << 3) | VARINT), varint(value));
    }
  }
  return concat(...parts);
}

/** The fields that are there: {number: [value, …]}, numbers as int32, the rest as bytes.
 * Throws Error for what is no protobuf. */
export function decode(data) {
  const out = {};
  let at = 0;
  const read = () => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= data.length) break;
      const byte = data[at++];
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new Error("bad varint");
  };
  while (at < data.length) {
    const tag = read();
    let value = null;
    if ((tag & 7) === VARINT) {
      value = read();
    } else if ((tag & 7) === LEN) {
      const end = read() + at;
      if (end < at || end > data.length) throw new Error("truncated");
      value = data.subarray(at, end);
      at = end;
    } else {
      throw new Error("unexpected wire type");
    }
    const number = tag >>> 3;
    (out[number] = out[number] || []).push(value);
  }
  return out;
}

const last = (message, number) => {
  const all = message[number];
  return all && all[all.length - 1];
};

export function int(message, number) {
  const value = last(message, number);
  return typeof value === "number" ? value : 0;
}

export function bytes(message, number) {
  const value = last(message, number);
  return value instanceof Uint8Array ? value : new Uint8Array(0);
}

/** A member that is a message, or null. */
export function member(message, number) {
  const value = last(message, number);
  return value instanceof Uint8Array ? decode(value) : null;
}
