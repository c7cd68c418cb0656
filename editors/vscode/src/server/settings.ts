// The section `incipit` as the server knows it: `incipit.server.*` says how to start it, which is no concern of its own.
export function serverSettings(section: unknown): unknown {
  if (typeof section !== 'object' || section === null) return section;
  return Object.fromEntries(Object.entries(section).filter(([key]) => key !== 'server'));
}
