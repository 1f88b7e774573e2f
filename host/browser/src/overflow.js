// Which elements make the page wider than the screen: `{width, page, elements}`; the outermost
// element that sticks out, and the innermost one in it that reaches as far.
(() => {
  const root = document.documentElement;
  const body = document.body;
  const width = root.clientWidth;
  // A form has its fields as properties: one named `children` or `id` hides the form's own.
  const own = (type, name) => {
    const { get } = Object.getOwnPropertyDescriptor(type.prototype, name);
    return (element) => get.call(element);
  };
  const [children, classes] = [own(Element, 'children'), own(Element, 'classList')];
  const [idOf, nameOf] = [own(Element, 'id'), own(Element, 'localName')];
  const [parent, nodes] = [own(Node, 'parentElement'), own(Node, 'childNodes')];
  const found = { width, page: root.scrollWidth, elements: [] };
  // What visitors cannot scroll to is no overflow.
  const overflow = (element) => element && getComputedStyle(element).overflowX;
  const viewport = overflow(root) === 'visible' ? overflow(body) : overflow(root);
  if (!body || root.scrollWidth <= width || ['hidden', 'clip'].includes(viewport)) {
    return { ...found, page: Math.min(root.scrollWidth, width) };
  }
  const leftwards = getComputedStyle(body).direction === 'rtl';
  // Phones show pages from right to left scrolled.
  const side = (rect) => (leftwards ? -(rect.left + scrollX) : rect.right + scrollX - width);
  const beyond = (rect) => (rect.width ? side(rect) : 0);
  const box = (element) => beyond(element.getBoundingClientRect());
  const pixels = (by) => Math.min(Math.ceil(by), 1e6);
  const range = document.createRange();
  const texts = (element) => {
    let most = 0;
    for (const node of nodes(element)) {
      if (node.nodeType !== Node.TEXT_NODE || !node.data.trim()) continue;
      range.selectNodeContents(node);
      for (const rect of range.getClientRects()) most = Math.max(most, beyond(rect));
    }
    return most;
  };
  const selector = (element) => {
    const parts = [];
    for (let at = element; at; at = parent(at)) {
      const named = [...classes(at)].slice(0, 2).map((name) => `.${CSS.escape(name)}`);
      let part = idOf(at) ? `#${CSS.escape(idOf(at))}` : nameOf(at) + named.join('');
      const beside = parent(at) ? [...children(parent(at))] : [];
      if (beside.filter((other) => other.matches(part)).length > 1) {
        const same = beside.filter((other) => nameOf(other) === nameOf(at));
        part += `:nth-of-type(${same.indexOf(at) + 1})`;
      }
      parts.unshift(part);
      if (document.querySelectorAll(parts.join(' > ')).length === 1) break;
    }
    return parts.join(' > ');
  };
  const innermost = (element, by) => {
    for (let at = element; ; ) {
      const next = [...children(at)].find((child) => box(child) >= by - 1);
      if (!next) return at;
      at = next;
    }
  };
  // Bounded, because one broken grid can push out thousands.
  const visit = (element) => {
    if (found.elements.length >= 3) return;
    const style = getComputedStyle(element);
    if (style.display === 'none' || style.position === 'fixed') return;
    const by = box(element);
    if (by > 0.5) {
      const inner = innermost(element, by);
      found.elements.push({
        selector: selector(element),
        by: pixels(by),
        inner: inner === element ? null : selector(inner),
      });
      return;
    }
    if (element !== body && style.overflowX !== 'visible') return;
    const text = texts(element);
    if (text > 0.5) {
      found.elements.push({ selector: selector(element), by: pixels(text), text: true });
    }
    for (const child of children(element)) visit(child);
  };
  visit(body);
  return found;
})()
