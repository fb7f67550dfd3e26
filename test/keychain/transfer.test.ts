import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RegcreddError } from '../../src/errors.ts'
import { formatItem } from '../../src/keychain/item.ts'
import type { Items } from '../../src/keychain/items.ts'
import { createKeychain } from '../../src/keychain/keychain.ts'
import { createMemoryItems } from '../../src/keychain/memory.ts'
import { migrate } from '../../src/keychain/migrate.ts'
import { parseIndex } from '../../src/keychain/os-index.ts'
import { formatTombstone, highestVersion, parseEntry } from '../../src/keychain/tombstone.ts'
import { planTransfer, refuseNewer, transfer } from '../../src/keychain/transfer.ts'
import { Secret } from '../../src/secret.ts'
import { passwordOf, sample } from './sample.ts'

const KEYS = ['a.example', 'b.example', 'c.example']
const COPY = { source: 'keep', dryRun: false } as const
const MOVE = { source: 'delete', dryRun: false } as const

/** Any contents of a store: no item, a credential at some seq and version, a deletion, an item that cannot be read. */
const contents = (readable: 'all' | 'some') =>
  fc
    .tuple(
      ...KEYS.map((key) =>
        fc.oneof(
          fc.constant(undefined),
          fc
            .tuple(fc.nat(9), fc.integer({ min: 1, max: 9 }), fc.constantFrom('one', 'two'))
            .map(([seq, version, password]) => {
              const { versions, ...rest } = sample(key, password)
              const id = `v${version}`
              return formatItem(key, { ...rest, seq, current: id, versions: versions.map((one) => ({ ...one, id })) })
            }),
          fc.tuple(fc.nat(9), fc.nat(9)).map(([seq, version]) => formatTombstone(key, { seq, version })),
          ...(readable === 'some' ? [fc.constant(new Secret('broken'))] : []),
        ),
      ),
    )
    .map((texts) => new Map(KEYS.flatMap((key, at) => (texts[at] === undefined ? [] : [[key, texts[at]] as const]))))

async function itemsOf(texts: Map<string, Secret>): Promise<Items> {
  const items = createMemoryItems()
  for (const [key, text] of texts) await items.write(key, text)
  return items
}

function numbersOf(key: string, text: Secret | undefined): { seq: number; version: number } {
  if (text === undefined || text.reveal() === 'broken') return { seq: 0, version: 0 }
  const entry = parseEntry(key, text)
  if ('tombstone' in entry) return entry.tombstone
  return { seq: entry.credential.seq, version: highestVersion(entry.credential) }
}

test('whatever is put into whatever store, no seq shrinks, no version number comes twice, nothing is lost, and a second time changes nothing more', async () => {
  const property = fc.asyncProperty(contents('all'), contents('some'), async (given, stored) => {
    const items = await itemsOf(stored)
    const steps = planTransfer(given, stored)
    await transfer(given, stored, steps, items)
    const after = await items.readAll()
    assert.deepEqual([...after.keys()].sort(), [...new Set([...given.keys(), ...stored.keys()])].sort())
    for (const { key, do: act } of steps) {
      const [was, is] = [numbersOf(key, stored.get(key)), numbersOf(key, after.get(key))]
      assert.ok(is.seq >= was.seq, `${key}: seq ${was.seq} became ${is.seq} by ${act}`)
      if (act === 'back') assert.ok(is.seq > was.seq && is.version > was.version, `${key}: ${act}`)
      if (act === 'same' || act === 'keep') assert.equal(after.get(key), stored.get(key))
    }
    const again = planTransfer(given, after).map((step) => step.do)
    assert.ok(again.every((act) => act === 'same' || act === 'keep' || act === 'back'))
  })
  await fc.assert(property, { numRuns: 300 })
})

test('what was put back over something newer is its content as a new change, without the rotation that was under way', async () => {
  const key = 'a.example'
  const { versions, ...rest } = sample(key, 'old')
  const pending = versions.map((version) => ({ ...version, id: 'v2', secret: new Secret('staged') }))
  const old = { ...rest, seq: 2, pending: 'v2', versions: [...versions, ...pending] }
  const given = new Map([[key, formatItem(key, old)]])
  const newer = { ...sample(key, 'new'), seq: 7, current: 'v5' }
  const items = await itemsOf(
    new Map([[key, formatItem(key, { ...newer, versions: newer.versions.map((one) => ({ ...one, id: 'v5' })) })]]),
  )
  const held = await items.readAll()
  await transfer(given, held, planTransfer(given, held), items)
  const stored = await createKeychain(items).get(key)
  assert.deepEqual([stored?.seq, stored?.current, stored?.pending, stored?.versions.length], [8, 'v6', undefined, 1])
  assert.equal(passwordOf(stored), 'old')
})

test('whatever stands in an item, it is a credential, a deletion, or KEYCHAIN_CORRUPT, and never shown', () => {
  const deleted = fc.record({ seq: fc.jsonValue(), version: fc.oneof(fc.nat(), fc.jsonValue()) }, { requiredKeys: [] })
  const tombstone = fc.record({
    schema: fc.constantFrom(1, 2),
    key: fc.constantFrom('a.example', 'b.example'),
    deleted,
  })
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    tombstone.map((one) => JSON.stringify(one)),
  )
  fc.assert(
    fc.property(text, (given) => {
      try {
        const entry = parseEntry('a.example', new Secret(given))
        if ('tombstone' in entry) {
          const again = parseEntry('a.example', formatTombstone('a.example', entry.tombstone))
          assert.deepEqual(again, entry)
        }
      } catch (error) {
        assert.ok(error instanceof RegcreddError && error.code === 'KEYCHAIN_CORRUPT', String(error))
      }
    }),
  )
})

test('a migration deletes nothing from its source before the target has given everything back', async () => {
  for (const forget of ['a.example', 'b.example']) {
    const source = await itemsOf(new Map(KEYS.map((key) => [key, formatItem(key, sample(key, 'kept'))])))
    const inner = createMemoryItems()
    const forgetful: Items = {
      ...inner,
      write: async (key, text) => (key === forget ? undefined : inner.write(key, text)),
    }
    await assert.rejects(migrate(source, forgetful, MOVE), {
      code: 'KEYCHAIN_UNAVAILABLE',
      message: new RegExp(`did not keep the item of ${forget}`),
    })
    assert.deepEqual([...(await source.readAll()).keys()], KEYS)
  }
})

test('a migration leaves its source as it is unless it is told otherwise, and then leaves nothing of it', async () => {
  const texts = new Map(KEYS.map((key) => [key, formatItem(key, sample(key, 'kept'))]))
  const [source, target] = [await itemsOf(texts), createMemoryItems()]
  assert.deepEqual(
    (await migrate(source, target, { ...MOVE, dryRun: true })).map((step) => step.do),
    ['add', 'add', 'add'],
  )
  assert.equal((await target.readAll()).size, 0)
  await migrate(source, target, COPY)
  assert.deepEqual([await source.readAll(), await target.readAll()], [texts, texts])
  await migrate(source, target, MOVE)
  assert.deepEqual([(await source.readAll()).size, await target.readAll()], [0, texts])
})

test('a migration into a store that holds something newer does nothing, and one from a store with a broken item neither', async () => {
  const [key = ''] = KEYS
  const source = await itemsOf(new Map(KEYS.map((one) => [one, formatItem(one, sample(one))])))
  const target = await itemsOf(new Map([[key, formatItem(key, { ...sample(key), seq: 5 })]]))
  await assert.rejects(migrate(source, target, MOVE), { code: 'KEYCHAIN_NEWER' })
  assert.deepEqual([(await source.readAll()).size, (await target.readAll()).size], [3, 1])
  await source.write(key, new Secret('broken'))
  await assert.rejects(migrate(source, createMemoryItems(), MOVE), { code: 'KEYCHAIN_CORRUPT', message: /a\.example/ })
  assert.equal((await source.readAll()).size, 3)
})

test('what was stored in a keychain that was begun anew is not taken for older than a backup with higher numbers', async () => {
  const [key = ''] = KEYS
  const from = { ...sample(key, 'of last year'), seq: 9 }
  const given = new Map([[key, formatItem(key, from)]])
  const { versions, ...rest } = sample(key, 'of today')
  const anew = { ...rest, versions: versions.map((one) => ({ ...one, createdAt: '2027-01-01T00:00:00.000Z' })) }
  const target = await itemsOf(new Map([[key, formatItem(key, anew)]]))
  const held = await target.readAll()
  const steps = planTransfer(given, held)
  assert.deepEqual([steps[0]?.do, steps[0]?.has, steps[0]?.gets], ['back', 1, 9])
  assert.throws(() => refuseNewer(steps), { code: 'KEYCHAIN_NEWER', message: /seq 1 with a later password there, 9/ })
  await transfer(given, held, steps, target)
  const back = await createKeychain(target).get(key)
  assert.deepEqual([back?.seq, back?.current, passwordOf(back)], [10, 'v2', 'of last year'])
  const deletion = new Map([[key, formatTombstone(key, { seq: 9, version: 0 })]])
  assert.equal(planTransfer(deletion, new Map([[key, formatItem(key, anew)]]))[0]?.do, 'keep')
})

test('what a newer version has left of a credential is said to be of a newer version', () => {
  const newer = new Secret('{"schema":2,"key":"a.example","deleted":{"at":1}}')
  assert.throws(() => parseEntry('a.example', newer), { code: 'KEYCHAIN_CORRUPT', message: /by a newer version/ })
  assert.throws(() => parseIndex('{"schema":2,"keys":{}}'), { code: 'KEYCHAIN_CORRUPT', message: /by a newer version/ })
})
