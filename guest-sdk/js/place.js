/**
 * Notes where the author's code calls this package.
 *
 * A limit of time or memory stops the engine between two instructions: nothing is thrown, and its
 * stack cannot be read from outside. The host finds this note in the memory of the stopped
 * component (`host/failure/src/noted_place.rs`), and says that it is the place of the last call.
 */
import { ownFrame } from './stack.js';

/** How a note begins: bytes that no text has. */
const MARK = [
  0x53, 0x57, 0x50, 0x4c, 0x9a, 0xe1, 0x3c, 0x07, 0xd4, 0x5b, 0x88, 0x2f, 0x61, 0xf0, 0xb6, 0x1e,
];
/** After the mark: three numbers of four bytes (call, line, bytes of the name), and the name. */
const NAME_AT = MARK.length + 12;

const buffer = new ArrayBuffer(256);
const bytes = new Uint8Array(buffer);
const numbers = new DataView(buffer, MARK.length);
bytes.set(MARK);
let calls = 0;

/** Notes the innermost place of the author's code, and returns it; `undefined` if there is none. */
export function notePlace() {
  const frame = ownFrame(new Error().stack);
  if (!frame) return undefined;
  const name = new TextEncoder().encode(frame.file).subarray(0, bytes.length - NAME_AT);
  // Without a length it is no note: the engine may be stopped in here.
  numbers.setUint32(8, 0, true);
  bytes.set(name, NAME_AT);
  calls += 1;
  numbers.setUint32(0, calls, true);
  numbers.setUint32(4, frame.line, true);
  numbers.setUint32(8, name.length, true);
  return frame;
}
