// Elements without a framework: the pages are small.

type Attributes = Record<string, string | boolean | undefined>;

// Attributes that are false or undefined are not set; true sets an empty one. Texts are texts, never HTML.
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  setAttributes(made, attributes);
  made.append(...children);
  return made;
}

export function setAttributes(target: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) target.removeAttribute(name);
    else target.setAttribute(name, value === true ? '' : value);
  }
}

export function button(text: string, onClick: () => void, attributes: Attributes = {}): HTMLButtonElement {
  const made = element('button', { type: 'button', ...attributes }, text);
  made.addEventListener('click', onClick);
  return made;
}

// Replaces children only where they differ, so that focus and selection stay where they are.
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}
