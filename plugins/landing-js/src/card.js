/** The picture that shows when somebody shares a link to the site. */
import original from './card.png';

/** The chunk of the palette follows the signature and the chunk of the image's size. */
const PALETTE = 33;

/** The picture as PNG of 1200 by 630: `card.png` with the brand's colours as its palette. */
export function card({ brand, accent, deep, tint }) {
  return recoloured(original, [brand, accent, deep, tint]);
}

/** A PNG with other colours, as many as its palette has. */
export function recoloured(png, colours) {
  const letters = [...'PLTE'].map((letter) => letter.charCodeAt(0));
  const chunk = Uint8Array.from(letters.concat(colours.flat()));
  const picture = png.slice();
  picture.set(chunk, PALETTE + 4);
  new DataView(picture.buffer).setUint32(PALETTE + 4 + chunk.length, crc(chunk));
  return picture;
}

/** CRC-32 as PNG has it. */
export function crc(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit += 1) {
      value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
    }
  }
  return ~value >>> 0;
}
