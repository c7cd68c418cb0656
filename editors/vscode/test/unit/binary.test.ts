import { describe, expect, it } from 'vitest';
import { findServer, type Places } from '../../src/server/binary';

function places(programs: string[], change: Partial<Places> = {}): Places {
  return {
    setting: '',
    extensionPath: '/ext',
    pathVariable: '/usr/local/bin:/usr/bin',
    home: '/home/me',
    isProgram: (file) => programs.includes(file),
    ...change,
  };
}

describe('findServer', () => {
  it('takes what the setting names before anything else', () => {
    const found = findServer(
      places(['/opt/incipit', '/ext/server/bin/incipit'], { setting: '/opt/incipit' }),
    );
    expect(found).toEqual({ program: '/opt/incipit' });
  });

  it('reads ~ and relative paths from the home directory', () => {
    const programs = ['/home/me/bin/incipit'];
    expect(findServer(places(programs, { setting: '~/bin/incipit' }))).toEqual({ program: programs[0] });
    expect(findServer(places(programs, { setting: 'bin/incipit' }))).toEqual({ program: programs[0] });
  });

  it('takes a directory for an installation', () => {
    const found = findServer(places(['/opt/x/bin/incipit'], { setting: '/opt/x' }));
    expect(found).toEqual({ program: '/opt/x/bin/incipit' });
  });

  it('runs no other program in place of a wrong setting', () => {
    const found = findServer(places(['/ext/server/bin/incipit'], { setting: '/nowhere' }));
    expect(found).toEqual({ missing: 'setting', tried: ['/nowhere'] });
  });

  it('goes on as without a setting where that is no text', () => {
    for (const setting of [null, undefined, 7]) {
      const found = findServer(places(['/ext/server/bin/incipit'], { setting }));
      expect(found).toEqual({ program: '/ext/server/bin/incipit' });
    }
  });

  it('prefers the bundled server to PATH, and takes the first of PATH', () => {
    const onPath = ['/usr/local/bin/incipit', '/usr/bin/incipit'];
    expect(findServer(places([...onPath, '/ext/server/bin/incipit']))).toEqual({
      program: '/ext/server/bin/incipit',
    });
    expect(findServer(places(onPath))).toEqual({ program: onPath[0] });
  });

  it('takes nothing from relative folders of PATH', () => {
    const found = findServer(places(['bin/incipit', 'incipit'], { pathVariable: 'bin::.' }));
    expect(found).toMatchObject({ missing: 'everywhere' });
  });
});
