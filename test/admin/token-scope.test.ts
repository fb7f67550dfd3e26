import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { demandScope, parseScope, scopeText, type TokenScope } from '../../src/admin/token-scope.ts'
import { adminTokenId, hashAdminToken, makeAdminToken } from '../../src/admin-token.ts'
import { canonicalName } from '../../src/registry/host.ts'

const canonicalKey = (host: string) => canonicalName(host).name
const registries = ['a.example', 'a.example/team', 'b.example']
const scopes = fc.oneof(
  fc.constantFrom<TokenScope>({ kind: 'read' }, { kind: 'audit:read' }),
  fc.constantFrom(...registries).map((registry): TokenScope => ({ kind: 'rotate', registry })),
)
const openers = fc.array(fc.constantFrom('read' as const, 'audit:read' as const, 'rotate' as const))

test('a scope opens what it names and nothing else', () => {
  const registry = fc.option(fc.constantFrom(...registries), { nil: undefined })
  fc.assert(
    fc.property(fc.array(scopes), openers, registry, (held, openers, registry) => {
      const names = held.map(scopeText)
      const wanted = openers.map((opener) => (opener === 'rotate' ? `rotate:${registry ?? ' '}` : opener))
      const demand = () => demandScope(held, openers, registry)
      if (wanted.some((name) => names.includes(name))) demand()
      else assert.throws(demand, { code: 'TOKEN_SCOPE_MISSING' })
    }),
  )
})

test('any scope is enough where any is, and none where the socket alone is', () => {
  demandScope([], ['any'], undefined)
  const all: TokenScope[] = [{ kind: 'read' }, { kind: 'audit:read' }, { kind: 'rotate', registry: 'a.example' }]
  assert.throws(() => demandScope(all, [], 'a.example'), { detail: /for the admin socket alone/ })
})

test('a scope is read in any spelling of its registry, and nothing like it is one', () => {
  assert.deepEqual(parseScope('rotate:A.Example:443/team', canonicalKey), {
    kind: 'rotate',
    registry: 'a.example/team',
  })
  for (const text of ['', 'READ', 'read ', 'write', '*', 'rotate', 'rotate', 'audit', 'admin', 'read,audit:read'])
    assert.equal(parseScope(text, canonicalKey), undefined, text)
  for (const text of ['rotate:', 'rotate:*', 'rotate:*.example', 'rotate:https://a.example'])
    assert.throws(() => parseScope(text, canonicalKey), { code: /^NAME/ }, text)
})

test('tokens are of one form, which scanners can find, and no two are alike', () => {
  const made = Array.from({ length: 500 }, () => makeAdminToken())
  for (const { id, token, sha256 } of made) {
    assert.match(token.reveal(), /^rcd_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/)
    assert.equal(adminTokenId(token.reveal()), id)
    assert.equal(hashAdminToken(token.reveal()).toString('hex'), sha256)
  }
  assert.equal(new Set(made.map(({ token }) => token.reveal())).size, made.length)
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => adminTokenId(text) === undefined))
})
