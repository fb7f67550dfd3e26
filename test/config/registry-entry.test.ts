import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memory, problems, withRegistry } from './resolving.ts'

const refused: [what: string, parsed: unknown, problem: string][] = [
  [
    'a misspelt key',
    withRegistry({ canery: 'x' }),
    'registries[0].canery: is no key that regcredd knows (did you mean "canary"?)',
  ],
  [
    'a key in another spelling',
    withRegistry({ ca_file: '/ca.pem' }),
    'registries[0].ca_file: is no key that regcredd knows (did you mean "caFile"?)',
  ],
  ['a key like nothing', withRegistry({ zzzzzzzzz: 1 }), 'registries[0].zzzzzzzzz: is no key that regcredd knows'],
  ['null', withRegistry({ canary: null }), 'registries[0].canary: must be a string, not null'],
  [
    'a fraction',
    withRegistry({ limits: { maxConnections: 1.5 } }),
    'registries[0].limits.maxConnections: must be a whole number, not a fraction',
  ],
  [
    'a number that is too large',
    withRegistry({ limits: { maxConnections: 9999 } }),
    'registries[0].limits.maxConnections: must be at most 4096',
  ],
  [
    'a URL as host',
    withRegistry({ host: 'https://reg.example.com' }),
    'registries[0].host: must be `host[:port]` or `host[:port]/path` (without https://)',
  ],
  [
    'a registry that is listed twice',
    { registries: [{ host: 'reg.example.com' }, { host: 'REG.example.com.:443' }], keychain: memory },
    'registries[1].host: is reg.example.com, as is registries[0] (each registry is listed once)',
  ],
  [
    'the Hub under two names',
    { registries: [{ host: 'docker.io' }, { host: 'registry-1.docker.io' }], keychain: memory },
    'registries[1].host: is docker.io, as is registries[0] (each registry is listed once)',
  ],
  [
    'an upstream with a path',
    withRegistry({ upstream: 'https://reg.example.com/v2' }),
    'registries[0].upstream: must be `https://host[:port]` and nothing more (no user, path, query or fragment)',
  ],
  [
    'an upstream with a user',
    withRegistry({ upstream: 'https://u:p@reg.example.com' }),
    'registries[0].upstream: must be `https://host[:port]` and nothing more (no user, path, query or fragment)',
  ],
  [
    'an upstream with a query',
    withRegistry({ upstream: 'https://reg.example.com?a' }),
    'registries[0].upstream: must be `https://host[:port]` and nothing more (no user, path, query or fragment)',
  ],
  [
    'plain http to a name',
    withRegistry({ upstream: 'http://localhost:5000' }),
    'registries[0].upstream: must be https:// (http:// is for loopback and private addresses, written as numbers)',
  ],
  [
    'plain http to a public address',
    withRegistry({ upstream: 'http://8.8.8.8' }),
    'registries[0].upstream: must be https:// (http:// is for loopback and private addresses, written as numbers)',
  ],
  [
    'a plain http realm of an https registry',
    withRegistry({ realms: ['http://127.0.0.1'] }),
    'registries[0].realms[0]: must be https:// (http:// token servers are for registries whose upstream is http:// too)',
  ],
  [
    'a realm with a path',
    withRegistry({ realms: ['https://auth.example.com/token'] }),
    'registries[0].realms[0]: must be `https://host[:port]` and nothing more (no user, path, query or fragment)',
  ],
  [
    'an address as server name',
    withRegistry({ serverName: 'reg.example.com:443' }),
    'registries[0].serverName: must be a DNS name (without port; a certificate for an address needs no serverName)',
  ],
  [
    'a CA for plain http',
    withRegistry({ upstream: 'http://127.0.0.1', caFile: '/ca.pem' }),
    'registries[0].caFile: has no meaning where `upstream` is http://',
  ],
  [
    'a CA that is not there',
    withRegistry({ caFile: '/none.pem' }),
    'registries[0].caFile: cannot be read: ENOENT (there is no such file)',
  ],
  [
    'a CA that is empty',
    withRegistry({ caFile: '/empty.pem' }),
    'registries[0].caFile: is no PEM file of certificates (it must hold lines of -----BEGIN CERTIFICATE-----)',
  ],
  [
    'a CA that is damaged',
    withRegistry({ caFile: '/broken.pem' }),
    'registries[0].caFile: is no PEM file of certificates (it must hold lines of -----BEGIN CERTIFICATE-----)',
  ],
  [
    'a CA beside its private key',
    withRegistry({ caFile: '/key.pem' }),
    'registries[0].caFile: holds a private key (only certificates belong there)',
  ],
  ['a relative path', withRegistry({ caFile: 'ca.pem' }), 'registries[0].caFile: must be an absolute path'],
  [
    'a range with host bits',
    withRegistry({ allowAddresses: ['10.1.2.3/8'] }),
    'registries[0].allowAddresses[0]: is no address range (such as 10.20.0.0/16, with zeroes after the prefix)',
  ],
  [
    'a pattern with a host',
    withRegistry({ repositories: ['Reg.example.com/x'] }),
    'registries[0].repositories[0]: is no repository pattern (lower case, such as `team/*` or `team/**`, without host and tag)',
  ],
  [
    'a canary that may not be pulled',
    withRegistry({ repositories: ['team/*'], canary: 'other/app' }),
    'registries[0].canary: must be a repository that this entry lets through',
  ],
  [
    'a canary beside the path',
    withRegistry({ host: 'reg.example.com/team', canary: 'teams/app' }),
    'registries[0].canary: must be a repository that this entry lets through',
  ],
]

for (const [what, parsed, problem] of refused) {
  test(`${what} is refused with words`, () => assert.deepEqual(problems(parsed), [problem]))
}
