import type { Break } from '../break.ts'

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: these are lines of source as text
export const breaks: Break[] = [
  {
    name: 'case 4: ns is a host',
    file: 'src/registry/host.ts',
    line: 'if (name.length > MAX_NAME_LENGTH || !labels.every((label) => LABEL.test(label))) {',
    instead: 'if (name.length > MAX_NAME_LENGTH) {',
    testFile: 'test/proxy/cases/request-line.test.ts',
    test: 'case 4: userinfo in ns is a 400, and nothing goes out',
  },
  {
    name: 'case 5: one spelling of a host',
    file: 'src/registry/host.ts',
    line: "const name = text.toLowerCase().replace(/\\.$/, '')",
    instead: 'const name = text.toLowerCase()',
    testFile: 'test/proxy/cases/request-line.test.ts',
    test: 'case 5: upper case, a trailing dot and the default port is the entry reg.example.com',
  },
  {
    name: 'case 6: the names of the Hub',
    file: 'src/registry/host.ts',
    line: "const HUB_ALIASES = new Set(['index.docker.io', HUB_API_HOST, 'registry.hub.docker.com'])",
    instead: 'const HUB_ALIASES = new Set([HUB_API_HOST])',
    testFile: 'test/proxy/cases/request-line.test.ts',
    test: 'case 6: index.docker.io is the entry docker.io',
  },
  {
    name: 'case 7: a port is a part of the name',
    file: 'src/registry/host.ts',
    line: 'if (port !== 443) return `${name}:${port}`',
    instead: '',
    testFile: 'test/proxy/cases/request-line.test.ts',
    test: 'case 7: an escaped port is a part of the registry’s name, and never gets the credential of the same host without it',
  },
  {
    name: 'case 21: Bearer before Basic',
    file: 'src/registry/challenge.ts',
    line: "return challenges.find(({ scheme }) => scheme === 'bearer') ?? challenges.find(({ scheme }) => scheme === 'basic')",
    instead: 'return challenges[0]',
    testFile: 'test/proxy/cases/challenges.test.ts',
    test: 'case 21: BASIC, then Bearer, in one line: the token server is asked, and the password goes to nobody else',
  },
  {
    name: 'case 22: the scope is ours',
    file: 'src/registry/scope.ts',
    line: 'return pingScope(asked) ?? `repository:${repository}:pull`',
    instead: 'return asked ?? `repository:${repository}:pull`',
    testFile: 'test/proxy/cases/challenges.test.ts',
    test: 'case 22: a scope with a comma in quotes is one parameter, and what is asked for is ours alone',
  },
]
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: as above
