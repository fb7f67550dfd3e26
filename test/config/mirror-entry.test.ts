import assert from 'node:assert/strict'
import { test } from 'node:test'
import { problems, withMirrors } from './resolving.ts'

const refused: [what: string, parsed: unknown, problem: string][] = [
  [
    'a mirror of an unlisted registry',
    withMirrors({ registries: ['other.example'], namespaces: ['a'] }),
    'kubernetes.mirrors[0].registries[0]: other.example is not listed in registries (listed: reg.example.com, docker.io)',
  ],
  [
    'a mirror that names one registry twice',
    withMirrors({ registries: ['docker.io', 'index.docker.io'], namespaces: ['a'] }),
    'kubernetes.mirrors[0].registries[1]: names docker.io for the second time',
  ],
  [
    'a bad namespace',
    withMirrors({ registries: ['docker.io'], namespaces: ['Team_A'] }),
    'kubernetes.mirrors[0].namespaces[0]: is no name of a namespace (lower case letters, digits and hyphens, at most 63)',
  ],
  [
    'a bad Secret name',
    withMirrors({ registries: ['docker.io'], namespaces: ['a'], secretName: 'a..b' }),
    'kubernetes.mirrors[0].secretName: is no name of a Secret (lower case letters, digits, hyphens and dots, at most 253)',
  ],
  [
    'two mirrors that write one Secret',
    withMirrors(
      { registries: ['docker.io'], namespaces: ['a'] },
      { registries: ['reg.example.com'], namespaces: ['b', 'a'] },
    ),
    'kubernetes.mirrors[1].namespaces[1]: names the same Secret as kubernetes.mirrors[0].namespaces[0] (put all registries of one Secret into one mirror)',
  ],
  [
    'a mirror without any namespaces',
    withMirrors({ registries: ['docker.io'] }),
    'kubernetes.mirrors[0]: names no namespaces (`namespaces`, `namespaceSelector` or both)',
  ],
  [
    'a pattern that no namespace can meet',
    withMirrors({ registries: ['docker.io'], namespaces: ['Team-*'] }),
    'kubernetes.mirrors[0].namespaces[0]: is no pattern of namespaces (lower case letters, digits, hyphens and `*`, at most 63)',
  ],
  [
    'a selector with values where there can be none',
    withMirrors({
      registries: ['docker.io'],
      namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'Exists', values: ['a'] }] },
    }),
    'kubernetes.mirrors[0].namespaceSelector.matchExpressions[0].values: must be empty with Exists',
  ],
  [
    'a selector with no values where there must be some',
    withMirrors({
      registries: ['docker.io'],
      namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'In' }] },
    }),
    'kubernetes.mirrors[0].namespaceSelector.matchExpressions[0].values: must not be empty with In',
  ],
  [
    'a selector by what is no label',
    withMirrors({ registries: ['docker.io'], namespaceSelector: { matchLabels: { 'a b': 'c' } } }),
    'kubernetes.mirrors[0].namespaceSelector.matchLabels: holds what is no label',
  ],
  [
    'a bad ServiceAccount name',
    withMirrors({ registries: ['docker.io'], namespaces: ['a'], serviceAccounts: ['Default'] }),
    'kubernetes.mirrors[0].serviceAccounts[0]: is no name of a ServiceAccount (lower case letters, digits, hyphens and dots, at most 253)',
  ],
  [
    'a kubeconfig that is not there',
    {
      ...withMirrors({ registries: ['docker.io'], namespaces: ['a'] }),
      kubernetes: { kubeconfig: '/nope', mirrors: [{ registries: ['docker.io'], namespaces: ['a'] }] },
    },
    'kubernetes.kubeconfig: cannot be read: ENOENT (there is no such file)',
  ],
]

for (const [what, parsed, problem] of refused) {
  test(`${what} is refused with words`, () => assert.deepEqual(problems(parsed), [problem]))
}
