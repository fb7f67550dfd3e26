import type { Break } from '../break.ts'

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: these are lines of source as text
export const breaks: Break[] = [
  {
    name: 'setup: CI misses no part',
    file: 'test/setup.mjs',
    line: 'process.exitCode = 1',
    instead: 'process.exitCode = 0',
    testFile: 'test/setup/setup.test.ts',
    test: 'a part that cannot be had is named and passed over, but in CI it is an error',
  },
  {
    name: 'tests: CI skips nothing',
    file: 'test/helpers/tools.ts',
    line: "if (process.env['CI'] === 'true') throw new Error(`CI skips nothing: ${reason}`)",
    instead: "if (process.env['CI'] === 'never') throw new Error(`CI skips nothing: ${reason}`)",
    testFile: 'test/helpers/tools.test.ts',
    test: 'in CI a missing part is an error and not a skipped test',
  },
]
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: as above
