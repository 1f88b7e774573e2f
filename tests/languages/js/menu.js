// A separate module, so that stack traces contain two files.
export function priceOf(menu, dish) {
  if (!(dish in menu)) throw new Error(`no ${dish} today`);
  return menu[dish];
}
