import assert from 'node:assert/strict'
import { it } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import type { Credential } from '../../src/keychain/credential.ts'
import { formatItem, parseItem } from '../../src/keychain/item.ts'
import { Secret } from '../../src/secret.ts'
import { sample } from './sample.ts'

const KEY = 'r.example/team'
const CANARY = 'canary-4711'

it('any credential is read back as it was written', () => {
  const stamp = fc
    .date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true })
    .map((date) => date.toISOString())
  const maybe = <T>(some: fc.Arbitrary<T>) => fc.option(some, { nil: undefined })
  const ids = fc.uniqueArray(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 1, maxLength: 4 })
  const credential = ids.chain((numbers) => {
    const id = fc.constantFrom(...numbers.map((number) => `v${number}`))
    const rotation = fc.record(
      {
        id: fc.string(),
        state: fc.constantFrom('STAGED' as const, 'COMMITTED' as const, 'ABORTED' as const),
        version: id,
        deadline: stamp,
        startedAt: stamp,
        endedAt: maybe(stamp),
        code: maybe(fc.string()),
        idempotencyKey: maybe(fc.string()),
        bodyHash: maybe(fc.string()),
      },
      { noNullPrototype: true },
    )
    const version = (number: number) =>
      fc.record(
        {
          id: fc.constant(`v${number}`),
          username: fc.string({ unit: 'binary' }),
          secret: fc.string({ unit: 'binary' }).map((value) => new Secret(value)),
          email: maybe(fc.string()),
          createdAt: stamp,
        },
        { noNullPrototype: true },
      )
    return fc.record(
      {
        schema: fc.constant(1 as const),
        key: fc.constant(KEY),
        seq: fc.nat(),
        current: maybe(id),
        pending: maybe(id),
        previous: maybe(id),
        versions: fc.tuple(...numbers.map(version)),
        rotations: fc.array(rotation, { maxLength: 3 }),
      },
      { noNullPrototype: true },
    )
  })
  fc.assert(
    fc.property(credential, (written: Credential) => {
      const read = parseItem(KEY, formatItem(KEY, written))
      assert.deepEqual(read, written)
      assert.ok(read.versions.every((version, index) => written.versions[index]?.secret.equals(version.secret)))
    }),
  )
})

it('no text but an item is read, and the error never shows what it held', () => {
  const broken = fc.oneof(fc.string(), fc.json(), fc.constant('')).map((text) => `${CANARY}${text}`)
  fc.assert(fc.property(broken, (text) => rejects(text)))
})

it('a field of a wrong type, a missing or an unknown one makes the item corrupt', () => {
  const whole = JSON.parse(formatItem(KEY, full()).reveal())
  for (const [path, holder] of holders(whole)) {
    for (const name of Object.keys(holder)) {
      const value = holder[name]
      holder[name] = { [CANARY]: CANARY }
      rejects(JSON.stringify(whole), path)
      holder[name] = value
    }
    holder[CANARY] = CANARY
    rejects(JSON.stringify(whole), path)
    delete holder[CANARY]
  }
  for (const name of ['schema', 'key', 'seq', 'versions', 'rotations']) {
    const { [name]: _, ...rest } = whole
    rejects(JSON.stringify(rest), name)
  }
  parseItem(KEY, new Secret(JSON.stringify(whole)))
})

it('labels that point nowhere, twice-used ids and impossible numbers make the item corrupt', () => {
  const change = (changed: object) =>
    rejects(JSON.stringify({ ...JSON.parse(formatItem(KEY, full()).reveal()), ...changed }))
  const { versions } = JSON.parse(formatItem(KEY, full()).reveal())
  for (const label of ['current', 'pending', 'previous']) change({ [label]: 'v9' })
  change({ versions: [...versions, ...versions] })
  for (const seq of [-1, 1.5, 2 ** 53, '1', null]) change({ seq })
  change({ key: 'other.example' })
  change({ schema: 0 })
  change({ current: null })
})

it('a newer schema is told from a broken item', () => {
  const newer = new Secret(JSON.stringify({ schema: 2, anything: CANARY }))
  assert.throws(() => parseItem(KEY, newer), {
    code: 'KEYCHAIN_CORRUPT',
    message: /r\.example\/team was written by a newer version/,
  })
})

function full(): Credential {
  const stamp = '2026-01-02T03:04:05.000Z'
  const one = sample(KEY)
  return {
    ...one,
    pending: 'v1',
    previous: 'v1',
    versions: one.versions.map((version) => ({ ...version, email: 'ci@corp.example' })),
    rotations: [
      {
        id: 'r1',
        state: 'ABORTED',
        version: 'v7',
        deadline: stamp,
        startedAt: stamp,
        endedAt: stamp,
        code: 'INTERNAL',
        idempotencyKey: 'k',
        bodyHash: 'h',
      },
    ],
  }
}

function holders(whole: Record<string, unknown>): [string, Record<string, unknown>][] {
  const inner = (name: string) => (whole[name] as Record<string, unknown>[]).map((entry) => [name, entry] as const)
  return [['item', whole], ...inner('versions'), ...inner('rotations')].map(([name, entry]) => [
    String(name),
    entry as Record<string, unknown>,
  ])
}

function rejects(text: string, hint = ''): void {
  assert.throws(
    () => parseItem(KEY, new Secret(text)),
    (error: Error) => {
      assert.ok('code' in error && error.code === 'KEYCHAIN_CORRUPT', `${hint}: ${inspect(error)}`)
      assert.ok(error.message.includes(`the item of ${KEY}`))
      assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes(CANARY))
      return true
    },
    hint,
  )
}
