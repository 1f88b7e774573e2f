// A module of its own, so that a stack leads through two.
export function priceOf(menu, dish) {
  if (!(dish in menu)) throw new Error(`no ${dish} today`);
  return menu[dish];
}
