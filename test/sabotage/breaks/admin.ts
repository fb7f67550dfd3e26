import type { Break } from '../break.ts'

export const breaks: Break[] = [
  {
    name: 'admin: malformed JSON is not echoed',
    file: 'src/admin/strict-json.ts',
    line: 'if (fault === undefined) return JSON.parse(text)',
    instead: 'if (fault !== null) return JSON.parse(text)',
    testFile: 'test/admin/credentials.test.ts',
    test: 'a malformed body is refused and no part of it comes back or is logged',
  },
  {
    name: 'admin: no web page',
    file: 'src/admin/app.ts',
    line: 'app.use(refuseBrowsers)',
    instead: '',
    testFile: 'test/admin/app.test.ts',
    test: 'a web page is refused, whatever it asks for',
  },
  {
    name: 'admin: no chown where none is needed',
    file: 'src/admin/listen-socket.ts',
    line: 'if (groupId !== undefined && (await stat(path)).gid !== groupId) await chown(path, -1, groupId)',
    instead: 'if (groupId !== undefined) await chown(path, -1, groupId)',
    testFile: 'test/admin/listen-socket.test.ts',
    test: 'a group that has the socket already is not given it: the sandbox of the unit allows no chown',
  },
]
