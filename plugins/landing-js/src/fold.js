/** Letters with accents and variants, and the same without. */
const VARIANTS = 'áàâãäåéèêëíìîïóòôõöøúùûüçñÿةأإآى';
const FOLDED = 'aaaaaaeeeeiiiioooooouuuucnyهاااي';

/** The text in lower case without accents; everything but letters and digits is a space. */
export function fold(text) {
  const plain = (letter) => {
    const at = VARIANTS.indexOf(letter);
    return at < 0 ? letter : FOLDED[at];
  };
  // Vowel marks of Arabic and Hebrew are part of a word.
  const bare = text.toLowerCase().replace(/[\u0591-\u05c7\u064b-\u065f]/g, '');
  const letters = [...bare].map(plain).join('').replace(/ß/g, 'ss').replace(/œ/g, 'oe');
  // The engine has no classes of Unicode.
  return letters
    .replace(/[^0-9a-z\u00c0-\uffff]/g, ' ')
    .replace(/[×÷\u0300-\u036f״׳،؛؟\u2000-\u206f\u3000-\u3004\u3008-\u3020・\uff01-\uff0f]/g, ' ');
}
