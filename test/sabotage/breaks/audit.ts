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
  {
    name: 'audit: one write for many',
    file: 'src/audit/writer.ts',
    line: 'this.#append(waiting.map(({ event }) => event))',
    instead: 'for (const { event } of waiting) this.#append([event])',
    testFile: 'test/audit/together.test.ts',
    test: 'records of one turn of the event loop are one write, in order and numbered, before the first of them is acknowledged',
  },
  {
    name: 'audit: written before it is acknowledged',
    file: 'src/audit/writer.ts',
    line: 'return waiting.promise',
    instead: 'return Promise.resolve()',
    testFile: 'test/audit/killed.test.ts',
    test: 'kill -9 at any time loses no acknowledged record, breaks no number and leaves the folder free',
  },
  {
    name: 'audit: numbers of many',
    file: 'src/audit/writer.ts',
    line: 'this.#seq += events.length',
    instead: 'this.#seq += 1',
    testFile: 'test/audit/together.test.ts',
    test: 'records of one turn of the event loop are one write, in order and numbered, before the first of them is acknowledged',
  },
  {
    name: 'audit: a page is found by halving',
    file: 'src/audit/page.ts',
    line: 'if (first !== undefined && first.seq <= after) low = first.endsAt',
    instead: 'if (first !== undefined && first.seq < 0) low = first.endsAt',
    testFile: 'test/audit/tail.test.ts',
    test: 'a page costs what it holds, wherever it stands in a long file',
  },
]
