// Which program is the server: the setting, else the one that came with the extension, else the first on PATH.
import * as path from 'node:path';

export interface Places {
  // As it stands in the user's settings, where null or a number may be too: those name no program.
  setting: unknown;
  extensionPath: string;
  pathVariable: string;
  home: string;
  isProgram: (file: string) => boolean;
}

export type Found = { program: string } | { missing: 'setting' | 'everywhere'; tried: string[] };

const programName = 'incipit';

export function findServer(places: Places): Found {
  const setting = typeof places.setting === 'string' ? places.setting.trim() : '';
  if (setting !== '') {
    const named = path.resolve(places.home, setting.replace(/^~(?=\/|$)/, places.home));
    // A directory is taken for the place of an installation: its program, or that of its bin/.
    const candidates = [named, path.join(named, programName), path.join(named, 'bin', programName)];
    const program = candidates.find(places.isProgram);
    // A wrong setting is an error: another program than the one that was named must not run in its place.
    return program === undefined ? { missing: 'setting', tried: [named] } : { program };
  }
  const bundled = path.join(places.extensionPath, 'server', 'bin', programName);
  const onPath = places.pathVariable
    .split(path.delimiter)
    .filter((folder) => path.isAbsolute(folder))
    .map((folder) => path.join(folder, programName));
  const tried = [bundled, ...onPath];
  const program = tried.find(places.isProgram);
  return program === undefined ? { missing: 'everywhere', tried } : { program };
}
