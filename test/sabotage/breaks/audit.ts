import type { Break } from '../break.ts'

export const breaks: Break[] = [
  {
    name: 'audit: a full disk closes',
    file: 'src/audit/writer.ts',
    line: "this.#write(event, this.#options.whenFull === 'closed')",
    instead: 'this.#write(event, false)',
    testFile: 'test/audit/full-disk.test.ts',
    test: 'on a full disk pulls and acts are refused, the file ends in a whole record, and room heals it',
  },
  {
    name: 'daemon: a full audit disk closes',
    file: 'src/audit/writer.ts',
    line: "this.#write(event, this.#options.whenFull === 'closed')",
    instead: 'this.#write(event, false)',
    testFile: 'test/daemon/full-disk.test.ts',
    test: 'on a full audit disk pulls and acts are refused, it is said everywhere, nothing is sent, and room heals it',
  },
]
