// What of a page is off the screen, cut, or spills over its button. Runs in the page.
export const probe = (page) => page.evaluate(() => {
  const name = (e) => `${e.tagName.toLowerCase()}${e.dataset?.testid ? `[${e.dataset.testid}]` : `.${String(e.className?.baseVal ?? e.className).replaceAll(' ', '.')}`}`;
  const said = (e) => `${name(e)} "${e.textContent.trim().slice(0, 32)}"`;
  const beyond = (r, b, by) => r.right > b.right + by || r.bottom > b.bottom + by || r.left < b.left - by || r.top < b.top - by;
  const scrolls = document.documentElement.scrollHeight > innerHeight;
  const screen = { left: 0, top: 0, right: innerWidth, bottom: scrolls ? Infinity : innerHeight };
  const found = scrolls ? [`page scrolls, ${document.documentElement.scrollHeight} of ${innerHeight}`] : [];
  for (const e of document.querySelectorAll('#app *')) {
    // A watermark runs over the edge, and strips follow their pictures.
    if (e.closest('.wm, svg, .layer, .hint')) continue;
    const style = getComputedStyle(e);
    const rect = e.getBoundingClientRect();
    if (style.display === 'none' || style.visibility === 'hidden' || rect.width === 0) continue;
    const words = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim() !== '');
    if (/auto|scroll/.test(style.overflowY) && e.scrollHeight > e.clientHeight + 1) found.push(`scrolls: ${name(e)} ${e.scrollHeight} in ${e.clientHeight}`);
    // A column scrolls down, never sideways: what does not fit there is not seen.
    if (e.matches('aside') && e.scrollWidth > e.clientWidth + 1) found.push(`cut at the side: ${name(e)} ${e.scrollWidth} in ${e.clientWidth}`);
    if (words && style.overflow !== 'visible' && style.display !== 'inline' && e.scrollWidth > e.clientWidth + 1) found.push(`cut: ${said(e)} ${e.scrollWidth} in ${e.clientWidth}`);
    if (!words && !e.matches('button, a, select')) continue;
    // What scrolls was said once, for all that is in it.
    let over = e.parentElement;
    while (over !== null && over.id !== 'app' && getComputedStyle(over).overflow === 'visible') over = over.parentElement;
    const held = over !== null && over.id !== 'app' ? over : null;
    let moved = held;
    while (moved !== null && moved.id !== 'app' && !/auto|scroll/.test(getComputedStyle(moved).overflow)) moved = moved.parentElement;
    if (moved !== null && moved.id !== 'app') {
      if (held !== moved && beyond(rect, held.getBoundingClientRect(), 2)) found.push(`behind the edge of ${name(held)}: ${said(e)}`);
      continue;
    }
    if (beyond(rect, screen, 1)) found.push(`off the screen: ${said(e)}`);
    if (held !== null && beyond(rect, held.getBoundingClientRect(), 2)) found.push(`behind the edge of ${name(held)}: ${said(e)}`);
    const button = e.closest('button, a');
    if (button && button !== e && beyond(rect, button.getBoundingClientRect(), 1)) found.push(`spills: ${said(e)}`);
  }
  return [...new Set(found)];
});
