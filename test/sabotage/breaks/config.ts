import type { Break } from '../break.ts'

export const breaks: Break[] = [
  {
    name: 'config: plain http to the world',
    file: 'src/config/registry-entry.ts',
    line: "if (url?.protocol !== 'http:' || isLocalLiteral(url.hostname)) return url",
    instead: 'return url',
    testFile: 'test/config/registry-entry.test.ts',
    test: 'plain http to a public address is refused with words',
  },
  {
    name: 'config: listeners on loopback',
    file: 'src/config/load.ts',
    line: "else if (!isLoopback(listen.host)) report(at, 'must be a loopback address', 'whoever can reach it can use it')",
    instead: '',
    testFile: 'test/config/resolve.test.ts',
    test: 'a listener on all addresses is refused with words',
  },
]
