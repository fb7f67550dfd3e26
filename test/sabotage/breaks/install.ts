import type { Break } from '../break.ts'

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: these are lines of source as text
export const breaks: Break[] = [
  {
    name: 'install: never means never',
    file: 'src/install/hosts-toml.ts',
    line: '\'capabilities = ["push"]\',',
    instead: '\'capabilities = ["pull", "resolve"]\',',
    testFile: 'test/install/hosts-toml.test.ts',
    test: '`never` names the daemon as the last host too, for nothing but "push"',
  },
  {
    name: 'install: one never wins',
    file: 'src/install/hosts-toml.ts',
    line: "if (first === undefined || entries.some(({ fallback }) => fallback === 'never')) return undefined",
    instead: "if (first === undefined || entries.every(({ fallback }) => fallback === 'never')) return undefined",
    testFile: 'test/install/hosts-toml.test.ts',
    test: 'of two entries of one host one `never` is enough',
  },
  {
    name: 'install: the auth file is private',
    file: 'src/install/registries-conf.ts',
    line: "const file: ClientFile = { path, mode: '0600', text: `${JSON.stringify({ auths }, null, 2)}\\n` }",
    instead: "const file: ClientFile = { path, mode: '0644', text: `${JSON.stringify({ auths }, null, 2)}\\n` }",
    testFile: 'test/install/registries-conf.test.ts',
    test: 'goes with an auth file for the daemon, of mode 0600, in the place where the client looks',
  },
]
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: as above
